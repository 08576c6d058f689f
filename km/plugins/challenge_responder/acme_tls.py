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

from km.plugins.challenge_responder.listening import limit

PROTOCOL = 'acme-tls/1'

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

    Whoever names nothing that is to be proven, or a name in another form, is refused. Nothing is said or
    heard after the handshake, whatever protocol it came to.
    """

    def __init__(self, find: Callable[[str], Path | None]):
        """Remember who finds them.

        :param find: the PEM file for a server name; None if there is none.
        """
        self._find = find
        self._context = _context()
        self._context.sni_callback = self._choose

    def serve(self, connection: socket.socket, deadline: float) -> None:
        """Take part in one handshake.

        :raises OSError: it failed, or was too slow.
        """
        limit(connection, deadline)
        with self._context.wrap_socket(connection, server_side=True) as shown:
            shown.shutdown(socket.SHUT_WR)

    def _choose(self, shown: ssl.SSLObject, name: str | None, _context_before: ssl.SSLContext
                ) -> ssl.AlertDescription | None:
        name = (name or '').lower()
        named = len(name) <= _MAX_NAME and _SERVER_NAME.fullmatch(name)
        file = self._find(name) if named else None
        if file is None:
            return ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        chosen = _context()
        try:
            chosen.load_cert_chain(file)
        except OSError:  # it was taken away meanwhile
            return ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        shown.context = chosen
        return None


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


def _context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.num_tickets = 0
    made.set_alpn_protocols([PROTOCOL])
    return made


def _alternative(identifier: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(identifier))
    except ValueError:
        return x509.DNSName(identifier)


def _digest(key_authorization: str) -> bytes:
    return hashlib.sha256(key_authorization.encode('ascii')).digest()
