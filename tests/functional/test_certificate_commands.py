# SPDX-License-Identifier: Apache-2.0
"""``openstack certificate`` from an order to a revocation, against a real km; OpenSSL is the judge."""
import json
import stat
import subprocess
import time
import uuid
from pathlib import Path

import pytest
import requests
from cryptography import x509

from tests.functional.assertions import standalone_only
from tests.functional.km_server import environment, program
from tests.functional.test_client_plugin import credentials

#: What each PEM of a private key has in its first line.
PRIVATE = 'PRIVATE KEY'
_SECONDS = 30


class Person:
    """Somebody at a terminal, in a folder of their own that is their home.

    :ivar said: all that came out of their commands.
    :ivar command_lines: what anybody on the machine could see of them.
    """

    def __init__(self, km, folder):
        self._km, self.folder, self.said, self.command_lines = km, folder, '', b''
        self._environment = environment(HOME=str(folder), **credentials(km, 'alpha-member'))

    def openstack(self, *arguments, status=0):
        """What a command prints; or what it complains of, if it must fail."""
        with subprocess.Popen(
                [program('openstack'), *map(str, arguments)], cwd=self.folder, env=self._environment,
                umask=0, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            while process.poll() is None:
                self.command_lines += Path(f'/proc/{process.pid}/cmdline').read_bytes()
                time.sleep(0.05)
            printed, complained = process.communicate(timeout=_SECONDS)
        self.said += printed + complained
        assert process.returncode == status, printed + complained
        assert 'Traceback' not in complained
        return complained if status else printed

    def certificate(self, *arguments):
        """What a command of certificates shows, of its JSON."""
        return json.loads(self.openstack('certificate', *arguments, '-f', 'json'))

    def openssl(self, *arguments, status=0):
        done = subprocess.run(['openssl', *map(str, arguments)], cwd=self.folder, capture_output=True,
                              text=True, timeout=_SECONDS)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def root(self, authority):
        """The file of the root that all trust, which is above an authority."""
        (self.folder / 'above.p7').write_bytes(self._km.get(f'{authority}/intermediates').content)
        self.openssl('pkcs7', '-in', 'above.p7', '-print_certs', '-out', 'root.pem')
        return 'root.pem'

    def crl(self, certificate):
        """The file of the CRL whose URL is in the file of a certificate."""
        loaded = x509.load_pem_x509_certificate((self.folder / certificate).read_bytes())
        points = loaded.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        answer = requests.get(points[0].full_name[0].value, timeout=_SECONDS)
        (self.folder / 'crl.der').write_bytes(answer.content)
        self.openssl('crl', '-inform', 'DER', '-in', 'crl.der', '-out', 'crl.pem')
        return 'crl.pem'


@pytest.fixture
def person(km, tmp_path):
    return Person(km, tmp_path)


def open_to_others(folder, content):
    """The files in a folder that have it and that others than their owner may read."""
    return [path for path in folder.rglob('*') if path.is_file()
            and stat.S_IMODE(path.stat().st_mode) & 0o077 and content in path.read_bytes()]


@standalone_only
def test_a_certificate_from_its_order_to_its_revocation(km, person):
    made = person.certificate('issue', 'www.example.org', '--ip', '192.0.2.7', '--renew', '--wait')
    first = made['Certificate ID']
    (listed,) = person.certificate('list', '--container', made['Container href'])
    assert (listed['ID'], listed['Status'], listed['Container href']) == (
        first, 'ISSUED', made['Container href'])
    assert set(listed['Names']) == {'DNS:www.example.org', 'IP:192.0.2.7'}
    assert listed['Days left'] > 0

    shown = person.certificate('show', first, '--chain')
    leaf, *above = shown['Chain']
    assert (leaf['subject'], leaf['issuer'], leaf['not_after']) == (
        'CN=www.example.org', above[0]['subject'], listed['Not after'])

    assert person.openstack('certificate', 'save', first, '--certificate', 'first.pem',
                            '--chain', 'chain.pem', '--key', 'first.key') == ''
    assert stat.S_IMODE((person.folder / 'first.key').stat().st_mode) == 0o600
    root = person.root(shown['CA href'])
    verify = 'verify', '-x509_strict', '-CAfile', root, '-untrusted', 'chain.pem'
    person.openssl(*verify, 'first.pem')
    assert (person.openssl('pkey', '-in', 'first.key', '-pubout')
            == person.openssl('x509', '-in', 'first.pem', '-noout', '-pubkey'))

    second = person.certificate('renew', first, '--wait')
    assert second['Container href'] == made['Container href']
    assert second['Certificate ID'] != first
    person.openstack('certificate', 'save', made['Container href'], '--certificate', 'second.pem')

    revoked = person.certificate('revoke', first, '--reason', 'superseded')
    assert (revoked['Status'], revoked['Revocation reason']) == ('REVOKED', 'superseded')
    look = *verify, '-crl_check', '-CRLfile', person.crl('first.pem')
    assert 'certificate revoked' in person.openssl(*look, 'first.pem', status=2)
    person.openssl(*look, 'second.pem')
    require_hidden(km, person, (person.folder / 'first.key').read_bytes())


def require_hidden(km, person, key):
    """Insist that nobody but the owner of its file has seen a key."""
    line = max(key.splitlines(), key=len)
    assert PRIVATE in key.decode()
    km.hide(line)  # nor has the log, as the fixture finds in the end
    assert PRIVATE not in person.said
    assert line.decode() not in person.said
    assert b'save' in person.command_lines
    assert line not in person.command_lines
    assert open_to_others(person.folder, line) == []
    assert open_to_others(person.folder, b'BEGIN CERTIFICATE')  # such would be found


@standalone_only
def test_a_request_of_ones_own_is_answered_and_its_key_is_nobody_elses(person):
    person.openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                   '-subj', '/CN=own.example.org', '-keyout', 'own.key', '-out', 'own.csr')
    made = person.certificate('issue', '--csr', 'own.csr', '--wait')
    person.openstack('certificate', 'save', made['Certificate ID'], '--certificate', 'own.pem')
    assert (person.openssl('pkey', '-in', 'own.key', '-pubout')
            == person.openssl('x509', '-in', 'own.pem', '-noout', '-pubkey'))


@standalone_only
def test_an_order_that_fails_ends_who_waits_with_its_reason(person):
    said = person.openstack('certificate', 'issue', 'no host', '--wait', status=1)
    (line,) = said.splitlines()
    assert 'not a host name' in line
    (order,) = [order for order in person.certificate('order', 'list') if order['ID'] in line]
    assert order['Status'] == 'ERROR'
    assert order['Message'] in line


@standalone_only
def test_what_is_not_there_is_told_in_one_line(person):
    said = person.openstack('certificate', 'show', uuid.uuid4(), status=1)
    assert said.splitlines() == ['Not Found. Certificate not found. (HTTP 404)']
