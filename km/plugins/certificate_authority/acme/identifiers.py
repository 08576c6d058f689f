# SPDX-License-Identifier: Apache-2.0
"""What a request asks to be certified, as an order names it (RFC 8555, 7.1.4; RFC 8738)."""
import ipaddress
import re
from collections.abc import Iterable

from cryptography import x509
from cryptography.x509.oid import NameOID

from km.interfaces import Rejected

WILDCARD = '*.'
_DOMAIN = re.compile(r'(\*\.)?([A-Za-z0-9_-]{1,63}\.)+[A-Za-z0-9-]{1,63}')


def read(csr: bytes) -> x509.CertificateSigningRequest:
    """A PKCS#10 request, DER.

    :raises Rejected: it is none.
    """
    try:
        return x509.load_der_x509_csr(csr)
    except ValueError:
        raise Rejected('The certificate request cannot be read.') from None


def ordered(request: x509.CertificateSigningRequest) -> list[dict[str, str]]:
    """The identifiers of a request: its alternative names, and its common name, each once.

    An authority demands that the order and the request name the same, and a common name counts if it
    is a name at all.

    :raises Rejected: it names something else than DNS names and IP addresses, or nothing.
    """
    found: dict[tuple[str, str], None] = {}
    try:
        names = list(_alternative_names(request))
        common = [str(one.value) for one in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise Rejected('The names in the certificate request cannot be read.') from None
    for name in names:
        if isinstance(name, x509.DNSName):
            found['dns', name.value.lower()] = None
        elif isinstance(name, x509.IPAddress):
            found['ip', str(name.value)] = None
        else:
            raise Rejected('An ACME authority certifies DNS names and IP addresses, and nothing else.')
    for value in common:
        if kind := _kind(value):
            found[kind, value.lower()] = None
    if not found:
        raise Rejected('The certificate request names neither a DNS name nor an IP address.')
    return [{'type': kind, 'value': value} for kind, value in found]


def _alternative_names(request: x509.CertificateSigningRequest) -> Iterable[x509.GeneralName]:
    try:
        return request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()


def _kind(common_name: str) -> str | None:
    """What a common name names; None if it is for people."""
    try:
        ipaddress.ip_address(common_name)
    except ValueError:
        return 'dns' if _DOMAIN.fullmatch(common_name) else None
    return 'ip'
