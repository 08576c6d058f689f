# SPDX-License-Identifier: Apache-2.0
"""Names in EJBCA's spelling: what is not a name of its own cannot become one by the spelling."""
import ipaddress

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from km.interfaces import NotSupported, Rejected
from km.plugins.certificate_authority.ejbca import names
from tests.functional.certificates.ejbca_orders import csr


def request(subject=(), alternatives=()):
    return x509.load_der_x509_csr(csr(
        subject=x509.Name([x509.NameAttribute(*part) for part in subject]), names=list(alternatives)))


def test_a_subject_begins_with_its_last_part():
    assert names.subject_dn(request([
        (NameOID.COUNTRY_NAME, 'SE'), (NameOID.ORGANIZATION_NAME, 'Tests'),
        (NameOID.COMMON_NAME, 'a.test')])) == 'CN=a.test,O=Tests,C=SE'


@pytest.mark.parametrize(('value', 'spelt'), [
    ('a,O=Evil', r'CN=a\,O\=Evil'), ('a+OU=b', r'CN=a\+OU\=b'), ('a\\,b', r'CN=a\\\,b'),
    ('#05', r'CN=\#05'), ('"q"<>;', r'CN=\"q\"\<\>\;'), ('Müller', 'CN=Müller')])
def test_what_means_something_in_a_subject_is_escaped(value, spelt):
    assert names.subject_dn(request([(NameOID.COMMON_NAME, value)])) == spelt


@pytest.mark.parametrize('value', ['a\nb', 'a\0b', ' a', 'a '])
def test_what_is_no_text_is_refused(value):
    with pytest.raises(Rejected):
        names.subject_dn(request([(NameOID.COMMON_NAME, value)]))


def test_alternative_names_are_spelt_by_their_kinds():
    told = request(alternatives=[
        'a.test', x509.IPAddress(ipaddress.ip_address('192.0.2.1')),
        x509.IPAddress(ipaddress.ip_address('2001:db8::1')), x509.RFC822Name('ann@a.test'),
        x509.UniformResourceIdentifier('spiffe://a.test/b,dNSName=evil.test')])
    assert names.subject_alt_name(told) == (
        'dNSName=a.test, iPAddress=192.0.2.1, iPAddress=2001:db8::1, rfc822Name=ann@a.test, '
        r'uniformResourceIdentifier=spiffe://a.test/b\,dNSName\=evil.test')
    assert names.subject_alt_name(request([(NameOID.COMMON_NAME, 'a')])) == ''


def test_an_empty_subject_is_the_first_alternative_name():
    assert names.subject_dn(request(alternatives=['a.test', 'b.test'])) == 'CN=a.test'
    with pytest.raises(Rejected):
        names.subject_dn(request())


def test_what_cannot_be_spelt_is_not_supported():
    with pytest.raises(NotSupported):
        names.subject_dn(request([(NameOID.PSEUDONYM, 'a')]))
    with pytest.raises(NotSupported):
        names.subject_alt_name(request(alternatives=[x509.RegisteredID(x509.ObjectIdentifier('1.2'))]))
