# SPDX-License-Identifier: Apache-2.0
"""Names as EJBCA spells them, read and written by this stand-in's own rules."""
import ipaddress

from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.ejbca.refusals import Refusal

_KNOWN = {'CN': NameOID.COMMON_NAME, 'O': NameOID.ORGANIZATION_NAME,
          'OU': NameOID.ORGANIZATIONAL_UNIT_NAME, 'C': NameOID.COUNTRY_NAME,
          'L': NameOID.LOCALITY_NAME, 'ST': NameOID.STATE_OR_PROVINCE_NAME,
          'SN': NameOID.SERIAL_NUMBER, 'E': NameOID.EMAIL_ADDRESS, 'DC': NameOID.DOMAIN_COMPONENT,
          'UID': NameOID.USER_ID, 'GIVENNAME': NameOID.GIVEN_NAME, 'SURNAME': NameOID.SURNAME}
_SPELT = {oid: name for name, oid in _KNOWN.items()}


def spelt(name):
    """A Name as text, its last part first (RFC 4514)."""
    return ','.join(f'{_SPELT.get(part.oid, part.oid.dotted_string)}={_with_backslashes(part.value)}'
                    for part in reversed(list(name)))


def fields(name):
    """What kinds of attributes a Name has."""
    return {_SPELT.get(part.oid, part.oid.dotted_string) for part in name}


def read_name(text):
    """The Name in a text."""
    attributes = []
    for part in _split(text):
        kind, equals, value = part.strip().partition('=')
        if not equals or kind.upper() not in _KNOWN or not value:
            raise Refusal(400, f'No such part of a subject: {kind}')
        attributes.append(x509.NameAttribute(_KNOWN[kind.upper()], _plain(value)))
    if not attributes:
        raise Refusal(400, 'The subject is empty.')
    try:
        return x509.Name(reversed(attributes))
    except ValueError:
        raise Refusal(400, 'The subject is wrong.') from None


def read_alternatives(text):
    """The alternative names in a text."""
    found = []
    for part in _split(text):
        kind, equals, value = part.strip().partition('=')
        if not equals:
            raise Refusal(400, 'An alternative name is wrong.')
        found.append(_alternative(kind, _plain(value)))
    return found


def _alternative(kind, value):
    try:
        match kind:
            case 'dNSName':
                return x509.DNSName(value)
            case 'iPAddress':
                return x509.IPAddress(ipaddress.ip_address(value))
            case 'rfc822Name':
                return x509.RFC822Name(value)
            case 'uniformResourceIdentifier':
                return x509.UniformResourceIdentifier(value)
    except ValueError:
        pass
    raise Refusal(400, f'An alternative name is wrong: {kind}')


def _split(text):
    """The parts between commas that have no backslash before them."""
    parts, part, escaped = [], '', False
    for character in text:
        if character == ',' and not escaped:
            parts.append(part)
            part = ''
        else:
            part += character
        escaped = character == '\\' and not escaped
    return [one for one in [*parts, part] if one.strip()]


def _plain(value):
    plain, escaped = '', False
    for character in value:
        if character == '\\' and not escaped:
            escaped = True
        else:
            plain += character
            escaped = False
    return plain


def _with_backslashes(value):
    return ''.join(f'\\{character}' if character in ',+"\\<>;' else character for character in value)
