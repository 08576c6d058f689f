# SPDX-License-Identifier: Apache-2.0
"""Distinguished names, from and to text."""
import re

from cryptography import x509
from cryptography.x509.oid import NameOID

from km.errors import Invalid

MAX_TEXT = 1024
MAX_ATTRIBUTES = 20

#: Names of attributes as people write them (RFC 4514, 3, and what LDAP and OpenSSL call the others).
_TYPES = {
    'CN': NameOID.COMMON_NAME, 'COMMONNAME': NameOID.COMMON_NAME,
    'C': NameOID.COUNTRY_NAME, 'L': NameOID.LOCALITY_NAME,
    'ST': NameOID.STATE_OR_PROVINCE_NAME, 'S': NameOID.STATE_OR_PROVINCE_NAME,
    'O': NameOID.ORGANIZATION_NAME, 'OU': NameOID.ORGANIZATIONAL_UNIT_NAME,
    'STREET': NameOID.STREET_ADDRESS, 'DC': NameOID.DOMAIN_COMPONENT, 'UID': NameOID.USER_ID,
    'E': NameOID.EMAIL_ADDRESS, 'EMAIL': NameOID.EMAIL_ADDRESS, 'EMAILADDRESS': NameOID.EMAIL_ADDRESS,
    'SERIALNUMBER': NameOID.SERIAL_NUMBER, 'SN': NameOID.SURNAME, 'SURNAME': NameOID.SURNAME,
    'GN': NameOID.GIVEN_NAME, 'GIVENNAME': NameOID.GIVEN_NAME, 'TITLE': NameOID.TITLE,
    'POSTALCODE': NameOID.POSTAL_CODE,
}
#: The upper bounds of RFC 5280, A.1, and for all others the largest of them.
_LONGEST = {NameOID.COMMON_NAME: 64, NameOID.ORGANIZATION_NAME: 64, NameOID.ORGANIZATIONAL_UNIT_NAME: 64,
            NameOID.SERIAL_NUMBER: 64, NameOID.TITLE: 64, NameOID.LOCALITY_NAME: 128,
            NameOID.STATE_OR_PROVINCE_NAME: 128}
_LONGEST_OTHER = 255
_OID = re.compile(r'(?:OID\.)?([0-2](?:\.(?:0|[1-9]\d{0,9})){1,15})', re.ASCII)
_COUNTRY = re.compile('[A-Za-z]{2}', re.ASCII)
#: One character of a value: an escaped one (RFC 4514, 3), or one that needs no escape.
_CHARACTER = re.compile(r'\\([0-9A-Fa-f]{2})|\\([ "#+,;<=>\\])|([^\\"+,;<>])', re.DOTALL)
_TYPE = re.compile(r'\s*([A-Za-z0-9.-]+)\s*=[ ]*')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"[ ]*', re.DOTALL)


def parse(dn: str) -> x509.Name:
    """A name from its text: RFC 4514, or with the blanks and quotes of the older RFC 2253 and 1779.

    :raises Invalid: ``Invalid subject DN: ...``.
    """
    if len(dn) > MAX_TEXT:
        raise Invalid(f'Invalid subject DN: it is longer than {MAX_TEXT} characters.')
    if not dn.strip():
        return x509.Name([])
    try:
        sets = _parsed(dn)
        name = x509.Name([x509.RelativeDistinguishedName(attributes) for attributes in sets[::-1]])
        require_sane(name)
    except (ValueError, TypeError, Invalid) as error:
        raise Invalid(f'Invalid subject DN: {dn[:200]!a}: {_reason(error)}') from None
    return name


def text_of(name: x509.Name) -> str:
    """A name as RFC 4514 writes it, cut at ``MAX_TEXT`` characters."""
    try:
        text = name.rfc4514_string()
    except (ValueError, TypeError):  # a value of a type that is no text
        text = ''
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT - 3] + '...'


def common_name(name: x509.Name) -> str | None:
    """The one common name; None if there is none."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else None


def require_sane(name: x509.Name) -> None:
    """Insist on a name whose attributes have lengths as RFC 5280 bounds them, and one CN at most.

    :raises Invalid: it is otherwise.
    """
    attributes = list(name)
    if len(attributes) > MAX_ATTRIBUTES:
        raise Invalid(f'The subject has more than {MAX_ATTRIBUTES} attributes.')
    if len(name.get_attributes_for_oid(NameOID.COMMON_NAME)) > 1:
        raise Invalid('The subject has more than one CN.')
    for attribute in attributes:
        value, called = attribute.value, attribute.rfc4514_attribute_name
        if not isinstance(value, str):
            raise Invalid(f'The {called} of the subject is no text.')
        longest = _LONGEST.get(attribute.oid, _LONGEST_OTHER)
        if not 0 < len(value) <= longest:
            raise Invalid(f'The {called} of the subject has {len(value)} characters: '
                          f'1 to {longest} are taken.')
        if not value.strip() or not value.isprintable():
            raise Invalid(f'The {called} of the subject is blank, or has what cannot be printed.')
        if attribute.oid == NameOID.COUNTRY_NAME and not _COUNTRY.fullmatch(value):
            raise Invalid('The C of the subject is not a country by two letters.')


def _parsed(dn: str) -> list[list[x509.NameAttribute]]:
    """The attributes of each relative name, in the order of the text."""
    sets: list[list[x509.NameAttribute]] = [[]]
    place = 0
    while True:
        begin = _TYPE.match(dn, place)
        if begin is None:
            raise Invalid('an attribute and its value were expected.')
        value, place = _value(dn, begin.end())
        sets[-1].append(_attribute(begin[1], value))
        if place == len(dn):
            return sets
        if dn[place] in ',;':
            sets.append([])
        elif dn[place] != '+':
            raise Invalid('a comma was expected.')
        place += 1


def _attribute(type_: str, value: str) -> x509.NameAttribute:
    dotted = _OID.fullmatch(type_.upper())
    oid = x509.ObjectIdentifier(dotted[1]) if dotted else _TYPES.get(type_.upper())
    if oid is None:
        raise Invalid('an attribute is unknown.')
    if oid == NameOID.COUNTRY_NAME:
        value = value.upper()
    return x509.NameAttribute(oid, value)


def _value(dn: str, place: int) -> tuple[str, int]:
    """The value that begins at a place, and where it ends."""
    if quoted := _QUOTED.match(dn, place):
        return re.sub(r'\\(.)', r'\1', quoted[1]), quoted.end()
    if dn.startswith('#', place):
        raise Invalid('values in hexadecimal are not taken.')
    octets, kept = bytearray(), 0
    while found := _CHARACTER.match(dn, place):
        octets += bytes.fromhex(found[1]) if found[1] else (found[2] or found[3]).encode()
        # Blanks at the end mean nothing, unless they are escaped.
        kept = kept if found[3] == ' ' else len(octets)
        place = found.end()
    return octets[:kept].decode(), place


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, Invalid) else 'an attribute has a value that it cannot have.'
