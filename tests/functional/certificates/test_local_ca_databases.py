# SPDX-License-Identifier: Apache-2.0
"""Local CA on real database servers, in several processes' place at once."""
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from cryptography import x509

from km.interfaces import CrlRequest, NotFound, RevokeRequest, SubordinateRequest
from km.plugins.certificate_authority.local_ca.plugin import LocalCa
from km.plugins.certificate_authority.local_ca.tables import CERTIFICATES, CRLS, KEYS, SIGNERS
from km.testing import MemoryKeyStore, open_authority, open_plugin
from km.testing.certificate_orders import new_order

NAMES = ('a.alpha.example', 'b.alpha.example')


@pytest.fixture(params=['postgresql', 'mariadb'])
def several(request):
    """Local CAs that were opened at once on one empty database."""
    url = request.getfixturevalue(request.param).create_database(f'km_{uuid.uuid4().hex}')
    store = open_plugin(MemoryKeyStore)

    def opened(_number):
        return open_authority(
            LocalCa, key_stores={'soft': store}, key_store='soft', key_bits=256, connection=url,
            publication_url='http://km.test/pki', subordinate_permitted=['DNS:{project}.example'],
            delta_crl_minutes=10)

    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(opened, range(4)))
    yield made
    for ca in made:
        ca.close()


def at_once(work, several):
    with ThreadPoolExecutor(len(several)) as threads:
        return list(threads.map(work, several))


def rows(ca, table):
    return ca._database.all(sa.select(table))


def test_what_is_done_at_once_is_done_once(several):
    ca = several[0]
    assert len({one.authorities()[0].certificate for one in several}) == 1
    assert len(rows(ca, KEYS)) == len(rows(ca, SIGNERS)) == 2
    order = new_order(ca, NAMES)
    issued = at_once(lambda one: one.issue(order), several * 2)
    assert len(set(issued)) == 1
    request = SubordinateRequest(
        authority_id=str(uuid.uuid4()), project_id='alpha', parent='issuing', name='ours',
        subject=x509.Name.from_rfc4514_string('CN=Ours é').public_bytes())
    assert len(set(at_once(lambda one: one.make_subordinate(request), several))) == 1
    assert len(rows(ca, CERTIFICATES)) == 4
    at_once(lambda one: one.rotate_issuer('issuing'), several)
    assert [row.state for row in rows(ca, SIGNERS) if row.authority == 'issuing'].count('current') == 1
    at_once(lambda one: one.remove_subordinate(request.authority_id), several)
    at_once(lambda one: one.publish(), several)
    assert not [row for row in rows(ca, SIGNERS) if row.role == 'subordinate' and row.key_id]
    assert all(one.check().startswith('issuing: ') for one in several)


def test_no_crl_knows_less_than_one_with_a_lower_number(several):
    ca = several[0]
    orders = [new_order(ca, NAMES) for _ in range(8)]
    requests = [RevokeRequest(
        authority='issuing', order_id=order.order_id, certificate=ca.issue(order).certificate,
        reason='superseded', revoked_at=datetime.now(UTC).replace(tzinfo=None)) for order in orders]
    issuer = ca._signers.current('issuing').id
    ca.publish()

    def work(number):
        several[number % 4].revoke(requests[number])
        return several[(number + 1) % 4].crl(CrlRequest(issuer=issuer, delta=True)).content

    at_once(work, range(8))
    ca.crl(CrlRequest(issuer=issuer, delta=True))
    known = set()
    made = sorted((row for row in rows(ca, CRLS) if row.issuer_id == issuer), key=lambda row: row.number)
    for row in made[1:]:
        on_it = {entry.serial_number for entry in x509.load_der_x509_crl(row.content)}
        assert on_it >= known
        known = on_it
    assert len(known) == 8


@pytest.mark.parametrize('name', ['\0', 'x' * 300, "'", '\ud800'])
def test_strangers_cannot_vex_the_database(several, name):
    with pytest.raises(NotFound):
        several[0].crl(CrlRequest(issuer=name))
