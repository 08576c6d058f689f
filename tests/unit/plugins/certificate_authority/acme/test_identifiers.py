# SPDX-License-Identifier: Apache-2.0
"""What an order names, by its request."""
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID, NameOID

from km.interfaces import Rejected
from km.plugins.certificate_authority.acme import identifiers
from tests.functional.certificates.acme_client import csr


def ordered(request):
    return [(one['type'], one['value']) for one in identifiers.ordered(identifiers.read(request))]


def test_names_and_addresses_are_ordered_once_each_in_lower_case():
    request = csr('B.test', '*.A.test', 'b.TEST', addresses=map(
        ipaddress.ip_address, ('192.0.2.1', '2001:DB8::1')))
    assert ordered(request) == [
        ('dns', 'b.test'), ('dns', '*.a.test'), ('ip', '192.0.2.1'), ('ip', '2001:db8::1')]


@pytest.mark.parametrize(('common_name', 'more'), [
    ('c.test', [('dns', 'c.test')]), ('*.C.test', [('dns', '*.c.test')]), ('A.test', []),
    ('192.0.2.1', [('ip', '192.0.2.1')]), ('Our service', []), ('localhost', []), ('a..test', [])])
def test_a_common_name_is_ordered_if_it_is_a_name(common_name, more):
    assert ordered(csr('a.test', common_name=common_name)) == [('dns', 'a.test'), *more]


def a_request(*alternatives, subject=()):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())


def test_a_request_with_a_common_name_alone_is_ordered():
    request = a_request(subject=[x509.NameAttribute(NameOID.COMMON_NAME, 'a.test')])
    assert identifiers.ordered(request) == [{'type': 'dns', 'value': 'a.test'}]


@pytest.mark.parametrize('name', [
    x509.RFC822Name('ann@a.test'), x509.UniformResourceIdentifier('spiffe://a.test'),
    x509.RegisteredID(x509.ObjectIdentifier('1.2.3'))])
def test_other_names_are_refused(name):
    with pytest.raises(Rejected, match='nothing else'):
        identifiers.ordered(a_request(x509.DNSName('a.test'), name))


def test_alternative_names_of_a_kind_that_cannot_be_read_are_refused():
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(
        x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, bytes.fromhex('3002a300')),
        critical=False).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    with pytest.raises(Rejected, match='cannot be read'):
        identifiers.ordered(request)


@pytest.mark.parametrize('text', [b'', b'nonsense', csr('a.test')[:-1], csr('a.test') + b'\0'])
def test_what_is_no_request_is_refused(text):
    with pytest.raises(Rejected, match='cannot be read'):
        identifiers.read(text)
