# SPDX-License-Identifier: Apache-2.0
"""A certificate is renewed while clients read it: at each moment its container is of one making."""
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.functional.certificates.km_with_authorities import (
    V1_4,
    assert_belong_together,
    certificate_of,
    contents,
    ended,
    issued,
    local_ca,
    path_of,
)
from tests.functional.open_km import believing_all

PROJECT = 'alpha'
READERS, RENEWALS, CROWD = 3, 3, 12
#: How often each reader reads between two renewals, at least. The first of these may have begun before.
READS = 3


@pytest.fixture(scope='module')
def km(tmp_path_factory, postgresql):
    """Two processes, so that one reads while the other renews."""
    folder = tmp_path_factory.mktemp('renewal')
    with believing_all(folder, postgresql, name='renewal', api={'workers': 2}, sections=local_ca(
            postgresql.create_database('renewal_ca'))) as running:
        yield running
        assert 'Traceback' not in running.log.read_text()


class Reader:
    """Reads a container and its payloads again and again, until it is told to stop."""

    def __init__(self, km, container):
        self._km, self._container, self._stop = km, container, False
        self._read, self._changed = 0, threading.Condition()

    def run(self):
        """The serial numbers of what was read, each after insisting that it is whole."""
        serials = []
        try:
            while not self._stop:
                found = contents(self._km, self._container, who=PROJECT)
                assert set(found) == {'certificate', 'intermediates', 'private_key'}
                serials.append(assert_belong_together(found).serial_number)
                self._count(1)
        finally:
            self._count(math.inf)  # nobody waits for one that has failed
        return serials

    def wait(self):
        """Wait until it has read some more."""
        with self._changed:
            enough = self._read + READS
            assert self._changed.wait_for(lambda: self._read >= enough, timeout=10)

    def stop(self):
        self._stop = True

    def _count(self, more):
        with self._changed:
            self._read += more
            self._changed.notify_all()


@pytest.mark.parametrize('new_key', [True, False], ids=['with a new key', 'with the same key'])
def test_readers_of_a_container_never_see_parts_of_two_certificates(km, new_key):
    order = issued(km, who=PROJECT, request_type='new-key', subject_dn='cn=www.example.org',
                   renewal={'new_key': new_key})
    container = order['container_ref']
    readers = [Reader(km, container) for _ in range(READERS)]
    with ThreadPoolExecutor(READERS) as threads:
        answers = [threads.submit(reader.run) for reader in readers]
        try:
            made = [certificate_of(km, order, who=PROJECT)]
            for _ in range(RENEWALS):
                for reader in readers:
                    reader.wait()
                made.append(renewed(km, made[-1]))
            for reader in readers:
                reader.wait()
        finally:
            for reader in readers:
                reader.stop()
    serials = [int(one['serial'], 16) for one in made]
    for answer in answers:
        seen = answer.result()
        assert set(seen) <= set(serials)
        assert seen == sorted(seen, key=serials.index)  # never a former one again
        assert seen[-1] == serials[-1]
    assert {one['container_ref'] for one in made} == {container}
    assert [one['version'] for one in made] == [1, 2, 3, 4]
    assert len(keys_of(km, made)) == (RENEWALS + 1 if new_key else 1)


@pytest.mark.parametrize('new_key', [True, False], ids=['with a new key', 'with the same key'])
def test_who_was_let_in_stays_so_and_a_private_key_stays_private(km, new_key):
    order = issued(km, who=PROJECT, request_type='new-key', subject_dn='cn=www.example.org',
                   renewal={'new_key': new_key})
    certificate = certificate_of(km, order, who=PROJECT)
    for ref in (order['container_ref'], *certificate['secret_refs'].values()):
        told = km.put(f'{path_of(km, ref)}/acl', {
            'read': {'users': ['balancer'], 'project-access': False}}, who=PROJECT)
        assert told.status_code == 200, told.text
    for one in (certificate, renewed(km, certificate)):
        assert_belong_together(contents(km, order['container_ref'], who='balancer'))
        for ref in one['secret_refs'].values():
            answer = km.get(f'{path_of(km, ref)}/payload', who=PROJECT, X_User_Id='colleague',
                            X_Roles='member')
            assert answer.status_code == 403, ref


def test_of_a_crowd_that_renews_or_revokes_each_one_thing_is_done_once(km):
    order = issued(km, who=PROJECT, request_type='new-key', subject_dn='cn=www.example.org', renewal={})
    first = certificate_of(km, order, who=PROJECT)
    answers = at_once(km, first, 'renew')
    made = {answer.json()['order_ref'] for answer in answers if answer.status_code == 202}
    assert len(made) == 1
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert ended(km, path_of(km, made.pop()), who=PROJECT)['status'] == 'ACTIVE'
    second = certificate_of(km, order, who=PROJECT)
    assert (first['version'], second['version']) == (1, 2)
    answers = at_once(km, second, 'revoke', {'reason': 'superseded'})
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * (CROWD - 1)
    assert certificate_of(km, order, who=PROJECT)['status'] == 'REVOKED'


def at_once(km, certificate, what, body=None):
    """The answers to many who ask the same of a certificate."""
    path = f'{path_of(km, certificate["certificate_ref"])}/{what}'
    with ThreadPoolExecutor(CROWD) as threads:
        return list(threads.map(lambda _: km.post(path, body, who=PROJECT, **V1_4), range(CROWD)))


def renewed(km, certificate):
    """What comes of renewing a certificate."""
    answer = km.post(path_of(km, certificate['certificate_ref']) + '/renew', who=PROJECT, **V1_4)
    assert answer.status_code == 202, answer.text
    order = ended(km, path_of(km, answer.json()['order_ref']), who=PROJECT)
    assert order['status'] == 'ACTIVE', order
    return certificate_of(km, order, who=PROJECT)


def keys_of(km, made):
    """The public keys of certificates, former ones among them, which still can be read."""
    payloads = [km.get(path_of(km, one['secret_refs']['certificate']) + '/payload', who=PROJECT,
                       Accept='application/octet-stream').content for one in made]
    return {x509.load_pem_x509_certificate(payload).public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for payload in payloads}
