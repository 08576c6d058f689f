# SPDX-License-Identifier: Apache-2.0
"""Name constraints: read from an operator's words, and held against names."""
import ipaddress
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from km.plugins.certificate_authority.local_ca import building, constraints
from tests.unit.plugins.certificate_authority.local_ca.opened import KEY, NOW

NOBODY = x509.Name([])


def an_authority(permitted=(), excluded=()):
    name = x509.Name.from_rfc4514_string('CN=above')
    return building.valid(building.by_itself(building.authority(
        name, KEY.public_key(), path_length=0,
        constraints=constraints.parse(permitted, excluded, 'alpha')), name, KEY.public_key()),
        NOW, NOW + timedelta(days=1)).serial_number(1).sign(KEY, hashes.SHA256())


def refused(name, permitted=(), excluded=(), subject=NOBODY):
    return constraints.breach([an_authority(permitted, excluded)], subject, [name] if name else [])


DNS, EMAIL, URI = x509.DNSName, x509.RFC822Name, x509.UniformResourceIdentifier


def ip(text):
    return x509.IPAddress(ipaddress.ip_address(text))


@pytest.mark.parametrize(('entry', 'name', 'allowed'), [
    ('DNS:example.org', DNS('example.org'), True),
    ('DNS:example.org', DNS('a.b.EXAMPLE.org'), True),
    ('DNS:example.org', DNS('*.example.org'), True),
    ('DNS:example.org', DNS('badexample.org'), False),
    ('DNS:example.org', DNS('example.org.evil.test'), False),
    ('DNS:{project}.example.org', DNS('www.alpha.example.org'), True),
    ('DNS:{project}.example.org', DNS('www.beta.example.org'), False),
    ('DNS:{project}.example.org', DNS('*.example.org'), False),
    ('DNS:example.org', ip('192.0.2.1'), True),
    ('IP:192.0.2.0/24', ip('192.0.2.255'), True),
    ('IP:192.0.2.0/24', ip('192.0.3.0'), False),
    ('IP:192.0.2.0/24', ip('2001:db8::1'), False),
    ('IP:2001:db8::/32', ip('2001:db8::1'), True),
    ('email:example.org', EMAIL('a@example.org'), True),
    ('email:example.org', EMAIL('a@sub.example.org'), False),
    ('email:.example.org', EMAIL('a@sub.example.org'), True),
    ('email:.example.org', EMAIL('a@example.org'), False),
    ('email:a@example.org', EMAIL('a@example.org'), True),
    ('email:a@example.org', EMAIL('b@example.org'), False),
    ('directory:O=Example', x509.DirectoryName(x509.Name.from_rfc4514_string('CN=a,O=EXAMPLE')), True),
    ('directory:O=Example', x509.DirectoryName(x509.Name.from_rfc4514_string('CN=a,O=Exampl')), False),
    ('URI:.example.org', URI('spiffe://a.example.org/x'), True),
    ('URI:.example.org', URI('https://evil.test/?.example.org'), False),
    ('URI:example.org', URI('https://example.org:8443/'), True),
    ('URI:example.org', URI('https://example.org@evil.test/'), False),
    ('URI:example.org', URI('urn:uuid:1'), False),
])
def test_a_name_is_within_what_is_permitted_or_is_not(entry, name, allowed):
    assert (refused(name, permitted=[entry]) is None) is allowed


@pytest.mark.parametrize(('entry', 'name'), [
    ('DNS:secret.example.org', DNS('secret.example.org')),
    ('DNS:secret.example.org', DNS('a.secret.example.org')),
    ('DNS:secret.example.org', DNS('*.example.org')),
    ('IP:0.0.0.0/0', ip('192.0.2.1')),
    ('email:example.org', EMAIL('a@example.org'))])
def test_a_name_that_is_excluded_is_not_permitted(entry, name):
    assert refused(name, excluded=[entry]) == str(name.value)
    assert refused(name, permitted=['DNS:example.org', 'IP:192.0.2.0/24'], excluded=[entry])


def test_a_subject_is_looked_at_too():
    def subject(text):
        return refused(None, permitted=['directory:O=Alpha,C=CH', 'email:example.org',
                                        'DNS:example.org'],
                       subject=x509.Name.from_rfc4514_string(text))

    assert subject('CN=x,O=Alpha,C=CH') is None
    assert subject('CN=x,O=Beta,C=CH') == 'CN=x,O=Beta,C=CH'
    assert subject('O=Alpha') == 'O=Alpha'
    assert subject('1.2.840.113549.1.9.1=a@evil.test,O=Alpha,C=CH') == 'a@evil.test'
    assert subject('CN=www.evil.test,O=Alpha,C=CH') == 'www.evil.test'
    assert subject('') is None


@pytest.mark.parametrize(('entry', 'sentence'), [
    ('example.org', 'begins with none of DNS:, IP:'), ('dns:example.org', 'begins with none'),
    ('DNS:exa mple', 'no name of a domain'), ('DNS:*.example.org', 'no name of a domain'),
    ('IP:192.0.2.1/24', 'host bits'), ('IP:here', 'here'), ('directory:nonsense', 'is no name'),
    ('email:a@', 'no name of a domain'), ('URI:http://example.org/', 'no name of a domain')])
def test_what_is_no_constraint_is_told_with_its_words(entry, sentence):
    with pytest.raises(ValueError, match=sentence):
        constraints.parse([entry], (), 'alpha')


@pytest.mark.parametrize('project', ['', 'a.b', 'a,O=b', '-a', 'x' * 64, 'é'])
def test_a_project_that_no_domain_can_be_named_after_has_no_constraints(project):
    with pytest.raises(ValueError, match='id'):
        constraints.parse(['DNS:{project}.example.org'], (), project)
