# SPDX-License-Identifier: Apache-2.0
"""The protocol ``acme-tls/1`` (RFC 8737): a certificate with a digest, shown to who asks for a name."""
import datetime
import hashlib
import ipaddress
import re
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from km.plugins.challenge_responder import client_hello
from km.plugins.challenge_responder.listening import limit

PROTOCOL = 'acme-tls/1'

_ALERT = bytes.fromhex('15 0303 0002 02')  # a record of two bytes, and that it is fatal
_NO_APPLICATION_PROTOCOL, _UNRECOGNIZED_NAME = b'\x78', b'\x70'

_IDENTIFIER = x509.ObjectIdentifier('1.3.6.1.5.5.7.1.31')
_OCTET_STRING_OF_32 = b'\x04\x20'
_SERVER_NAME = re.compile(r'(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*')
_MAX_NAME = 251
_VALID = datetime.timedelta(days=7)
_BACKDATED = datetime.timedelta(hours=1)


def server_name(identifier: str) -> str:
    """By which name (RFC 6066, 3) an authority asks for the proof of an identifier: a domain name is its
    own, an IP address has its reverse form (RFC 8738, 6). With a short suffix it can name a file.

    :raises ValueError: the identifier is neither, or a domain name of more than 251 characters.
    """
    try:
        return ipaddress.ip_address(identifier).reverse_pointer
    except ValueError:
        if not _SERVER_NAME.fullmatch(identifier) or len(identifier) > _MAX_NAME:
            raise
        return identifier


def certificate(identifier: str, key_authorization: str) -> bytes:
    """A new key and a certificate that proves an identifier (RFC 8737, 3): self-signed, for it alone.

    :returns: PEM: the key as PKCS#8, then the certificate.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'ACME challenge')])
    made = (x509.CertificateBuilder()
            .subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATED).not_valid_after(now + _VALID)
            .add_extension(x509.SubjectAlternativeName([_alternative(identifier)]), critical=False)
            .add_extension(x509.UnrecognizedExtension(
                _IDENTIFIER, _OCTET_STRING_OF_32 + _digest(key_authorization)), critical=True)
            .sign(key, hashes.SHA256()))
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()) + made.public_bytes(serialization.Encoding.PEM)


def proves(pem: bytes, key_authorization: str) -> bool:
    """Whether a certificate, PEM, holds the digest of a key authorisation."""
    try:
        extensions = x509.load_pem_x509_certificate(pem).extensions
        value = extensions.get_extension_for_oid(_IDENTIFIER).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    return isinstance(value, x509.UnrecognizedExtension) and (
        value.value == _OCTET_STRING_OF_32 + _digest(key_authorization))


class Shower:
    """The TLS side that shows certificates.

    Whoever does not offer this protocol alone, or names nothing that is to be proven, is refused by an
    alert. Nothing is said or heard after the handshake.
    """

    def __init__(self, find: Callable[[str], Path | None]):
        """Remember who finds them.

        :param find: the PEM file for a server name; None if there is none.
        """
        self._find = find

    def serve(self, connection: socket.socket, deadline: float) -> None:
        """Take part in one handshake.

        :raises OSError: it failed, or was too slow.
        """
        try:
            hello = client_hello.peek(connection, deadline)
        except ValueError:
            return
        file, alert = None, _NO_APPLICATION_PROTOCOL
        if hello.protocols == (PROTOCOL.encode('ascii'),):
            file, alert = self._file(hello.server_name), _UNRECOGNIZED_NAME
        if file is None:
            limit(connection, deadline)
            connection.sendall(_ALERT + alert)
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.num_tickets = 0
        context.set_alpn_protocols([PROTOCOL])
        context.load_cert_chain(file)
        limit(connection, deadline)
        with context.wrap_socket(connection, server_side=True) as shown:
            shown.setblocking(False)
            shown.unwrap()  # says that this is the end, and waits for nothing

    def _file(self, name: bytes) -> Path | None:
        text = name.decode('ascii', 'replace').lower()
        if len(text) > _MAX_NAME or not _SERVER_NAME.fullmatch(text):
            return None
        return self._find(text)


def shown_at(address: tuple[str, int], name: str, seconds: float) -> bytes:
    """The certificate that is shown for a server name, DER; as an authority asks for it.

    :raises OSError: none is.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([PROTOCOL])
    with socket.create_connection(address, timeout=seconds) as connection, context.wrap_socket(
            connection, server_hostname=name) as client:
        if client.selected_alpn_protocol() != PROTOCOL:
            raise ConnectionError('not this protocol')
        return client.getpeercert(binary_form=True) or b''


def _alternative(identifier: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(identifier))
    except ValueError:
        return x509.DNSName(identifier)


def _digest(key_authorization: str) -> bytes:
    return hashlib.sha256(key_authorization.encode()).digest()
