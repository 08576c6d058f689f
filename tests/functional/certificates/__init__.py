# SPDX-License-Identifier: Apache-2.0
"""A CA, and certificates for servers on 127.0.0.1 and their clients, made anew each time."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.functional.servers import HOST

_VALID_DAYS = 2


class Authority:
    """A CA that keeps its certificate, and all that it issues, in a folder; its key in memory only."""

    def __init__(self, folder, name='km test CA'):
        """Write ca.pem into `folder`."""
        self._folder, self._name, self._key = folder, name, ec.generate_private_key(ec.SECP256R1())
        self.ca_file = folder / 'ca.pem'
        self._write(self.ca_file, _draft(name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True))

    def server(self, name='server', *, host=HOST, expired=False):
        """Write `name`.pem and `name`.key for a server at the address `host`."""
        self._issue(name, 'km test server', ExtendedKeyUsageOID.SERVER_AUTH, expired, [
            x509.IPAddress(ipaddress.ip_address(host))])

    def client(self, name, *, expired=False):
        """Write `name`.pem and `name`.key for a client of that name."""
        self._issue(name, name, ExtendedKeyUsageOID.CLIENT_AUTH, expired, [x509.DNSName(name)])

    def _issue(self, name, subject, usage, expired, alternatives):
        key = ec.generate_private_key(ec.SECP256R1())
        self._write(
            self._folder / f'{name}.pem',
            _draft(subject, key, expired=expired)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False))
        key_file = self._folder / f'{name}.key'
        key_file.touch(mode=0o600)
        key_file.write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))

    def _write(self, path, draft):
        certificate = draft.issuer_name(_name(self._name)).sign(self._key, hashes.SHA256())
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def write(folder):
    """Write ca.pem, server.pem and server.key, all PEM, into `folder`; the CA's key is forgotten."""
    Authority(folder).server()


def _draft(subject, key, *, expired=False):
    """Give the builder of a certificate for `key`, valid from yesterday on, or until then."""
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    begin, end = (now - 3 * day, now - day) if expired else (now - day, now + _VALID_DAYS * day)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def _name(text):
    """Give a distinguished name that is only a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
