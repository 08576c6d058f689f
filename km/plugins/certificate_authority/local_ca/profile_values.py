# SPDX-License-Identifier: Apache-2.0
"""The values of a profile, as an operator writes them in TOML: each read into what ``Profile`` holds.

A reader takes what ``tomllib`` made of a value, and raises ValueError with the end of a sentence that
begins with the file, the profile and the key.
"""
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from km.plugins.certificate_authority.local_ca import names

#: The kinds of public keys. RSA keys have a least size of their own.
KEY_TYPES = ('rsa', 'p-256', 'p-384', 'p-521', 'ed25519', 'ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87')

#: Key usages (RFC 5280, 4.2.1.3), as ``x509.KeyUsage`` calls them. Those of authorities are not here.
KEY_USAGES = {
    'digitalSignature': 'digital_signature', 'contentCommitment': 'content_commitment',
    'keyEncipherment': 'key_encipherment', 'dataEncipherment': 'data_encipherment',
    'keyAgreement': 'key_agreement', 'encipherOnly': 'encipher_only', 'decipherOnly': 'decipher_only'}

#: Extended key usages (RFC 5280, 4.2.1.12) that have a name here; others are written as OIDs.
EXTENDED_KEY_USAGES = {
    'serverAuth': ExtendedKeyUsageOID.SERVER_AUTH, 'clientAuth': ExtendedKeyUsageOID.CLIENT_AUTH,
    'codeSigning': ExtendedKeyUsageOID.CODE_SIGNING,
    'emailProtection': ExtendedKeyUsageOID.EMAIL_PROTECTION,
    'timeStamping': ExtendedKeyUsageOID.TIME_STAMPING}

#: Attributes of subjects beside the common name, in the order in which a subject has them, and how long
#: each may be (RFC 5280, A.1; RFC 4519).
SUBJECT = {
    'DC': (NameOID.DOMAIN_COMPONENT, 63), 'C': (NameOID.COUNTRY_NAME, 2),
    'ST': (NameOID.STATE_OR_PROVINCE_NAME, 128), 'L': (NameOID.LOCALITY_NAME, 128),
    'STREET': (NameOID.STREET_ADDRESS, 128), 'O': (NameOID.ORGANIZATION_NAME, 64),
    'OU': (NameOID.ORGANIZATIONAL_UNIT_NAME, 64), 'serialNumber': (NameOID.SERIAL_NUMBER, 64),
    'UID': (NameOID.USER_ID, 64)}

#: What becomes of the common name.
COMMON_NAMES = ('san', 'san_or_none', 'first_san', 'none', 'csr')
#: What becomes of a certificate that would end after its issuer's.
ISSUER_ENDS = ('refuse', 'cut', 'allow')

#: ``noRevAvail`` (RFC 9608): nobody will tell whether this certificate was revoked.
NO_REVOCATION = x509.ObjectIdentifier('2.5.29.56')

#: Extensions that no request has a say in: the authority's own, and those that would make one of it.
_NEVER_COPIED = frozenset({
    ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME, ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.ISSUER_ALTERNATIVE_NAME,
    ExtensionOID.CRL_DISTRIBUTION_POINTS, ExtensionOID.FRESHEST_CRL,
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS, ExtensionOID.NAME_CONSTRAINTS,
    ExtensionOID.CERTIFICATE_POLICIES, ExtensionOID.POLICY_CONSTRAINTS, ExtensionOID.POLICY_MAPPINGS,
    ExtensionOID.INHIBIT_ANY_POLICY, ExtensionOID.OCSP_NO_CHECK, ExtensionOID.PRECERT_POISON,
    ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS, NO_REVOCATION})

_DURATION = re.compile(r'([0-9]{1,5})([mhd])')
_UNITS = {'m': 'minutes', 'h': 'hours', 'd': 'days'}
_LONGEST = timedelta(days=36500)
#: What a PrintableString may hold (X.680, 41.4).
_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,./:=?-]+")


def flag(value: Any) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise ValueError('must be true or false')
    return value


def duration(value: Any) -> timedelta:
    """Days, hours or minutes."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError('must be a duration such as "90d", "12h" or "15m"')
    length = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if length > _LONGEST:
        raise ValueError('must not be longer than 36500 days')
    return length


def number(least: int, most: int) -> Callable[[Any], int]:
    """A reader of whole numbers in a range."""
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f'must be a whole number from {least} to {most}')
        return value
    return read


def choice(known: Iterable[str]) -> Callable[[Any], str]:
    """A reader of one word of several."""
    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            raise ValueError(f'must be one of {", ".join(known)}')
        return value
    return read


def several(read: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    """A reader of lists, in which each value stands once."""
    def read_all(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError('must be a list')
        found = tuple(map(read, value))
        if len(set(found)) < len(found):
            raise ValueError('has a value twice')
        return found
    return read_all


def oid(value: Any) -> x509.ObjectIdentifier:
    """An object identifier, in dots."""
    try:
        return x509.ObjectIdentifier(_text(value))
    except ValueError:
        raise ValueError(f'{value!r} is not an OID such as "1.3.6.1.4.1.99999.1"') from None


def extended_key_usage(value: Any) -> x509.ObjectIdentifier:
    """One by its name or OID, but for the one that would answer for the authority."""
    read = EXTENDED_KEY_USAGES.get(value) if isinstance(value, str) else None
    read = read or (None if value == 'OCSPSigning' else oid(value))
    if read in (None, ExtendedKeyUsageOID.OCSP_SIGNING):
        raise ValueError('OCSPSigning is for answers of the authority itself')
    return read


def copied_extension(value: Any) -> x509.ObjectIdentifier:
    """The OID of an extension that a request may bring along."""
    read = oid(value)
    if read in _NEVER_COPIED:
        raise ValueError(f'{value!r} is never taken from a request')
    return read


def domain_pattern(value: Any) -> str:
    """See ``names``."""
    return names.domain_pattern(_text(value))


def mailbox_pattern(value: Any) -> str:
    """See ``names``; the domain in lower case."""
    local, at, host = _text(value).rpartition('@')
    if not (local and at) or host.startswith('.'):
        raise ValueError(f'{value!r} is not a pattern of mail addresses such as "*@example.org"')
    names.require_few_stars(value, '@')
    return f'{local}@{names.domain_pattern(host)}'


def uri_pattern(value: Any) -> str:
    """See ``names``."""
    scheme, colon, rest = _text(value).partition(':')
    if not (colon and rest) or '*' in scheme:
        raise ValueError(f'{value!r} is not a pattern of URIs such as "spiffe://example.org/**"')
    names.require_few_stars(value.removesuffix('**'), '/?#@:')
    return value


def ip_range(value: Any) -> names.Network:
    """A range of addresses; one address is one as well."""
    try:
        return ipaddress.ip_network(_text(value))
    except ValueError:
        raise ValueError(f'{value!r} is not a range of addresses such as "10.0.0.0/8"') from None


def subject(value: Any) -> tuple[tuple[str, str], ...]:
    """A table of attributes to their values, which may be lists; in the order of ``SUBJECT``."""
    if not isinstance(value, Mapping):
        raise ValueError('must be a table such as { O = "Example", C = "DE" }')
    if unknown := [key for key in value if key not in SUBJECT]:
        raise ValueError(f'does not know {unknown[0]!r}, but {", ".join(SUBJECT)}')
    return tuple((key, checked_attribute(key, _text(text))) for key in SUBJECT if key in value
                 for text in (value[key] if isinstance(value[key], list) else [value[key]]))


def checked_attribute(key: str, text: str) -> str:
    """A value of an attribute of a subject, once it is known to be one; ``CN`` is one as well.

    :raises ValueError: it is none; the sentence says why, without the value.
    """
    longest = 64 if key == 'CN' else SUBJECT[key][1]
    if not text.strip() or len(text) > longest or not text.isprintable():
        raise ValueError(f'has {key} that is not 1 to {longest} characters that can be printed')
    if key == 'C' and not (text.isascii() and text.isalpha() and text.isupper() and len(text) == 2):
        raise ValueError('has C that is not two capital letters (ISO 3166)')
    if (key == 'DC' and not text.isascii()) or (
            key == 'serialNumber' and not _PRINTABLE.fullmatch(text)):
        raise ValueError(f'has {key} with characters that it cannot have')
    return text


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f'{value!r} must be a string')
    return value
