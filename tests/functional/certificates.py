# SPDX-License-Identifier: Apache-2.0
"""A CA, and a certificate for servers on 127.0.0.1, made anew for each that wants one."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.functional.servers import HOST

_VALID_DAYS = 2


def write(folder):
    """Write ca.pem, server.pem and server.key, all PEM, into `folder`; the CA's key is forgotten."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = _signed(_draft('km test CA', ca_key).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True), 'km test CA', ca_key)
    server = _signed(_draft('km test server', key).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]),
        critical=False), 'km test CA', ca_key)
    for name, certificate in (('ca.pem', ca), ('server.pem', server)):
        (folder / name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file = folder / 'server.key'
    key_file.touch(mode=0o600)
    key_file.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))


def _draft(subject, key):
    """Give the builder of a certificate for `key`, valid from yesterday on."""
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=_VALID_DAYS))
    )


def _signed(draft, issuer, issuer_key):
    """Give the certificate that `draft` becomes when `issuer` signs it."""
    return draft.issuer_name(_name(issuer)).sign(issuer_key, hashes.SHA256())


def _name(text):
    """Give a distinguished name that is only a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
