# SPDX-License-Identifier: Apache-2.0
"""What is looked at before anybody gets a certificate."""
import datetime
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from km.plugins.certificate_authority.ejbca import checking
from tests.functional.certificates.ejbca_orders import csr, in_days

KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ('root', 'sub', 'leaf', 'third')}


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def made(subject, issuer, *extensions, key=None, common_name=None, names=(), begins=-1, ends=5):
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject if common_name is None else common_name)).issuer_name(name(issuer))
        .public_key(KEYS[key or subject].public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(in_days(begins)).not_valid_after(in_days(ends)))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([
            x509.DNSName(one) if isinstance(one, str) else one for one in names]), critical=False)
    return builder.sign(KEYS[issuer], SHA256())


def usage(*, signs):
    return x509.KeyUsage(
        digital_signature=not signs, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=signs, crl_sign=True,
        encipher_only=False, decipher_only=False)


CA = x509.BasicConstraints(ca=True, path_length=None)
ROOT = made('root', 'root', CA)
SUB = made('sub', 'root', x509.BasicConstraints(ca=True, path_length=0), usage(signs=True))


def test_a_path_is_found_whatever_the_order_and_its_issuer_is_first():
    leaf = made('leaf', 'sub', names=['a.test'])
    for between in ([SUB], [ROOT, SUB], [made('third', 'root', CA), SUB]):
        assert checking.path(leaf, between, [ROOT]) == (SUB, ROOT)
    assert checking.path(leaf, [], [SUB]) == (SUB,)


@pytest.mark.parametrize('leaf', [
    made('leaf', 'sub'), made('leaf', 'sub', common_name='', names=['a.test']),
    made('leaf', 'sub', x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]))], ids=str)
def test_what_a_certificate_is_for_is_not_looked_at(leaf):
    assert checking.path(leaf, [SUB], [ROOT]) == (SUB, ROOT)


@pytest.mark.parametrize(('told', 'between', 'anchors'), [
    ('no issuer', [], [ROOT]),
    ('another root', [SUB], [made('root', 'root', CA, key='third')]),
    ('no authority', [made('sub', 'root', x509.BasicConstraints(ca=False, path_length=None))], [ROOT]),
    ('nothing of authorities', [made('sub', 'root')], [ROOT]),
    ('may not sign', [made('sub', 'root', CA, usage(signs=False))], [ROOT]),
    ('over', [made('sub', 'root', CA, begins=-5, ends=-1)], [ROOT]),
    ('not yet', [made('sub', 'root', CA, begins=1)], [ROOT]),
    ('other names', [made('sub', 'root', CA, x509.NameConstraints([x509.DNSName('b.test')], None))],
     [ROOT]),
    ('another key', [made('sub', 'root', CA, key='third')], [ROOT])], ids=lambda value: str(value)[:20])
def test_a_path_that_does_not_verify_is_none(told, between, anchors):
    with pytest.raises(checking.Unverified):
        checking.path(made('leaf', 'sub', names=['a.test']), between, anchors)


def test_an_authority_below_one_that_may_have_none_is_none():
    with pytest.raises(checking.Unverified):
        checking.path(made('leaf', 'third'), [SUB, made('third', 'sub', CA)], [ROOT])


def request(common_name='a.test', names=('a.test',)):
    return x509.load_der_x509_csr(csr(names=list(names), subject=name(common_name)))


@pytest.mark.parametrize(('asked', 'given'), [
    (('a.test', ['a.test', 'b.test']), ('a.test', ['b.test'])),
    (('a.test', ['a.test']), ('', ['A.TEST'])),
    (('a.test', []), ('a.test', ['a.test'])),
    (('', ['a.test']), ('a.test', ['a.test'])),
    (('', [x509.IPAddress(ipaddress.ip_address('::1'))]),
     ('::1', [x509.IPAddress(ipaddress.ip_address('0:0::1'))])),
    (('a.test', [x509.RegisteredID(x509.ObjectIdentifier('1.2'))]),
     ('a.test', [x509.RegisteredID(x509.ObjectIdentifier('1.2'))]))], ids=str)
def test_fewer_names_or_those_that_were_asked_for_elsewhere_are_within_an_order(asked, given):
    certificate = made('leaf', 'sub', common_name=given[0], names=given[1])
    assert checking.unlike(request(*asked), None, certificate) is None


@pytest.mark.parametrize(('common_name', 'names', 'sentence'), [
    ('a.test', ['a.test', 'b.test'], 'alternative names'), ('a.test', ['*.test'], 'alternative names'),
    ('a.test', [x509.RFC822Name('a.test')], 'alternative names'), ('b.test', ['a.test'], 'common name')],
    ids=str)
def test_a_name_that_was_not_asked_for_is_told(common_name, names, sentence):
    certificate = made('leaf', 'sub', common_name=common_name, names=names)
    assert sentence in checking.unlike(request(), None, certificate)


def test_an_end_may_be_earlier_than_the_wish_and_not_a_second_later():
    certificate = made('leaf', 'sub', common_name='a.test')
    ends = certificate.not_valid_after_utc.replace(tzinfo=None)
    assert checking.unlike(request(), ends, certificate) is None
    assert 'later' in checking.unlike(request(), ends - datetime.timedelta(seconds=1), certificate)
