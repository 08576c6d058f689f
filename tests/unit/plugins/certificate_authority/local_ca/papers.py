# SPDX-License-Identifier: Apache-2.0
"""Requests, and an issuer, for the tests of what the Local CA makes of them."""
import functools
import ipaddress
import subprocess
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from km.plugins.certificate_authority.local_ca.keys import digest_for

NOW = datetime(2030, 1, 1, 12, 0, 0, 123456)
SECOND = NOW.replace(microsecond=0)
DAY = timedelta(days=1)

_MAKES = {
    'rsa': lambda: rsa.generate_private_key(65537, 2048),
    'p-256': lambda: ec.generate_private_key(ec.SECP256R1()),
    'p-384': lambda: ec.generate_private_key(ec.SECP384R1()),
    'p-521': lambda: ec.generate_private_key(ec.SECP521R1()),
    'ed25519': ed25519.Ed25519PrivateKey.generate,
    'ml-dsa-44': mldsa.MLDSA44PrivateKey.generate, 'ml-dsa-65': mldsa.MLDSA65PrivateKey.generate,
    'ml-dsa-87': mldsa.MLDSA87PrivateKey.generate}
KEY_TYPES = tuple(_MAKES)


@functools.cache
def a_key(key_type='p-256', number=0):
    """A private key; the same for the same number."""
    return _MAKES[key_type]()


def digest(key):
    return digest_for(key.public_key())


def a_name(common_name=None, **attributes):
    oids = {'O': NameOID.ORGANIZATION_NAME, 'OU': NameOID.ORGANIZATIONAL_UNIT_NAME,
            'C': NameOID.COUNTRY_NAME, 'DC': NameOID.DOMAIN_COMPONENT}
    common = [] if common_name is None else [(NameOID.COMMON_NAME, common_name)]
    return x509.Name([x509.NameAttribute(oid, value, _validate=False) for oid, value in (
        *((oids[key], value) for key, value in attributes.items()), *common)])


def alternative(*names):
    """A SAN: texts are domain names, addresses are addresses."""
    return x509.SubjectAlternativeName([
        x509.DNSName._init_without_validation(name) if isinstance(name, str)
        else name if isinstance(name, x509.GeneralName) else x509.IPAddress(name) for name in names])


def ip(text):
    return ipaddress.ip_address(text)


def a_request(*names, subject=None, extensions=(), key=None):
    """PKCS#10, DER."""
    key = key or a_key()
    builder = x509.CertificateSigningRequestBuilder(subject or x509.Name([]))
    if names:
        builder = builder.add_extension(alternative(*names), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, digest(key)).public_bytes(Encoding.DER)


@functools.cache
def an_issuer(key_type='p-256', name='Issuer', number=0, *, above=None):
    """A certificate of an authority and its key; valid in 2030, and now.

    :param above: the same of who issued it; None for a root.
    """
    key, subject = a_key(key_type, number), a_name(name, O='Example')
    above_name, above_key = (above[0].subject, above[1]) if above else (subject, key)
    builder = x509.CertificateBuilder(
        above_name, subject, key.public_key(), 1000 + number, datetime(2020, 1, 1), datetime(2040, 1, 1))
    for extension, critical in (
            (x509.BasicConstraints(ca=True, path_length=None), True), (_AUTHORITY_USAGE, True),
            (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(above_key.public_key()), False)):
        builder = builder.add_extension(extension, critical)
    return builder.sign(above_key, digest(above_key)), key


_AUTHORITY_USAGE = x509.KeyUsage(
    digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
    key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False)


@functools.cache
def a_leaf(serial, *, issuer=None, for_ocsp=False):
    """A certificate of an issuer, and its key."""
    certificate, issuer_key = issuer or an_issuer()
    key = a_key('p-256', 99)
    builder = x509.CertificateBuilder(
        certificate.subject, a_name(f'leaf {serial}'), key.public_key(), serial,
        datetime(2020, 1, 1), datetime(2039, 1, 1))
    usage = ExtendedKeyUsageOID.OCSP_SIGNING if for_ocsp else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False).add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    says = x509.OCSPNoCheck() if for_ocsp else x509.AuthorityInformationAccess([x509.AccessDescription(
        AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier('http://pki.example.org/o'))])
    builder = builder.add_extension(says, critical=False)
    return builder.sign(issuer_key, digest(issuer_key)), key


def pem(folder, name, thing):
    """A certificate or CRL in a file."""
    path = folder / name
    path.write_bytes(thing.public_bytes(Encoding.PEM))
    return path


def openssl(*arguments):
    """What openssl says, on both of its channels."""
    done = subprocess.run(['openssl', *map(str, arguments)], capture_output=True, text=True)
    return done.stdout + done.stderr


SHA1, SHA256 = hashes.SHA1(), hashes.SHA256()
