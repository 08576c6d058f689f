# SPDX-License-Identifier: Apache-2.0
"""Names that a certificate may have, and those that look like it."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from km.certificates import names as rules
from km.certificates import requests
from tests.unit.certificates.papers import KEY, built, called, sentence

HOSTS = ('a.example', 'localhost', 'A.Example', '*.a.example', 'xn--bcher-kva.example',
         'r3---sn.example', '0.example', 'a' * 63 + '.example', '.'.join(['a' * 49] * 5)[:253])
NO_HOSTS = ('', '.', '*', 'a.example.', '.a.example', 'a..example', '*.*.example', 'a*.example',
            'a.*.example', '*a.example', '-a.example', 'a-.example', 'a_b.example', 'a b.example',
            'a\x00.example', 'a.example\n', 'xn--.example', 'xn--abc-.example', 'xn--0.example',
            'xn--99999999.example', '10.0.0.1', 'a' * 64 + '.example', '.'.join(['a' * 49] * 6),
            'https://a.example', 'a.example:443', '*.')


@pytest.mark.parametrize('host', HOSTS)
def test_a_host_name_is_taken(host):
    assert rules.is_host(host)
    requests.require_sane(built(names=[x509.DNSName(host)]))


@pytest.mark.parametrize('host', NO_HOSTS)
def test_what_is_no_host_name_is_refused(host):
    assert not rules.is_host(host)
    said = sentence(requests.require_sane, built(names=[x509.DNSName(host)]))
    assert 'is not a host name' in said
    assert said.isprintable()


def test_a_host_name_outside_ascii_is_refused():
    der = built(names=[x509.DNSName('a.bcher')]).replace(b'a.bcher', b'b\xc3\xbccher')
    assert 'is not a host name' in sentence(requests.require_sane, der)


@pytest.mark.parametrize(('good', 'name'), [
    (True, x509.RFC822Name('ann@a.example')), (True, x509.RFC822Name('ann.b+c@a.example')),
    (False, x509.RFC822Name('ann')), (False, x509.RFC822Name('@a.example')),
    (False, x509.RFC822Name('ann@*.example')), (False, x509.RFC822Name('a..b@a.example')),
    (False, x509.RFC822Name('a b@a.example')),
    (True, x509.UniformResourceIdentifier('spiffe://a.example/x')),
    (True, x509.UniformResourceIdentifier('urn:uuid:1234')),
    (True, x509.UniformResourceIdentifier('https://[::1]:8443/')),
    (False, x509.UniformResourceIdentifier('no uri')), (False, x509.UniformResourceIdentifier('x:')),
    (False, x509.UniformResourceIdentifier('https://ann:pw@a.example/')),
    (False, x509.UniformResourceIdentifier('https:///x')),
    (False, x509.UniformResourceIdentifier('https://*.example/')),
    (False, x509.UniformResourceIdentifier('https://a.example:99999/')),
    (False, x509.UniformResourceIdentifier('https://a.example/' + 'x' * 2048)),
    (False, x509.RegisteredID(x509.ObjectIdentifier('1.2.3'))),
    (False, x509.DirectoryName(x509.Name([called('x')]))),
    (False, x509.OtherName(x509.ObjectIdentifier('1.2.3'), b'\x05\x00'))])
def test_a_name_of_another_kind_is_well_formed_or_refused(good, name):
    der = built(names=[name])
    if good:
        requests.require_sane(der)
    else:
        assert sentence(requests.require_sane, der)


@pytest.mark.parametrize('names', [
    [x509.DNSName('a.example'), x509.DNSName('A.EXAMPLE')],
    [x509.DNSName(f'{number}.example') for number in range(101)]])
def test_names_are_neither_twice_there_nor_more_than_a_hundred(names):
    assert sentence(requests.require_sane, built(names=names))


@pytest.mark.parametrize('name', ['a b', 'IP:a.example', 'IP:10.0.0.0/8', 'email:a', 'URI:x', 'DNS:*',
                                  'DNS:', '', 'IP:fe80::1%eth0', 'a@b@c', 'http://', 'CN:a'])
def test_a_name_that_is_none_is_refused_in_making(name):
    key = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert 'is not' in sentence(requests.make, key, passphrase=None, subject_dn='cn=a', names=[name])
