# SPDX-License-Identifier: Apache-2.0
"""Names that a certificate may have: hosts, addresses, mailboxes and URIs (RFC 5280, 4.2.1.6)."""
import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from cryptography import x509

from km.errors import Invalid

MAX_NAMES = 100
MAX_NAME_LENGTH = 2048
MAX_HOST_LENGTH = 253

_LABEL = re.compile(r'(?!-)[A-Za-z0-9-]{1,63}(?<!-)', re.ASCII)
_LOCAL_PART = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}(?<!\.)", re.ASCII)
_SCHEME = re.compile(r'[A-Za-z][A-Za-z0-9+.-]*', re.ASCII)
_URI = re.compile(r"[A-Za-z0-9:/?#\[\]@!$&'()*+,;=._~%-]+", re.ASCII)
_PREFIXED = re.compile(r'(dns|ip|email|uri):(.*)', re.IGNORECASE | re.DOTALL)


def is_host(name: str, *, wildcard: bool = True) -> bool:
    """Whether it is a host name as certificates have it: letters, digits and hyphens (RFC 1034, 3.5),
    in ASCII, without a dot at its end, and ``*`` at most as the whole of the leftmost label."""
    labels = (name.removeprefix('*.') if wildcard else name).split('.')
    return (len(name) <= MAX_HOST_LENGTH and not labels[-1].isdigit()
            and all(_LABEL.fullmatch(label) and _decodes(label) for label in labels))


def is_address(name: str) -> bool:
    """Whether it is an IP address, version 4 or 6, as text."""
    try:
        return bool(ipaddress.ip_address(name)) and '%' not in name
    except ValueError:
        return False


def is_mailbox(name: str) -> bool:
    """Whether it is a mailbox (RFC 5321, 4.1.2): an unquoted local part and a host name, in ASCII."""
    local, at, host = name.rpartition('@')
    return bool(at and _LOCAL_PART.fullmatch(local) and is_host(host, wildcard=False))


def is_uri(name: str) -> bool:
    """Whether it is an absolute URI (RFC 3986) in ASCII, with a host name or an address if it has an
    authority part, and without a user in it."""
    scheme, colon, rest = name.partition(':')
    if not (colon and rest and len(name) <= MAX_NAME_LENGTH and _SCHEME.fullmatch(scheme)
            and _URI.fullmatch(name)):
        return False
    if not rest.startswith('//'):
        return True
    try:
        parts = urlsplit(name)
        _ = parts.port
    except ValueError:
        return False
    host = parts.hostname or ''
    return '@' not in parts.netloc and (is_host(host, wildcard=False) or is_address(host))


def general_name(name: str) -> x509.GeneralName:
    """A name as a person wrote it: ``DNS:``, ``IP:``, ``email:`` or ``URI:`` before it, or guessed.

    :raises Invalid: it is none of them.
    """
    if found := _PREFIXED.fullmatch(name):
        kind, name = found[1].lower(), found[2]
    else:
        kind = ('ip' if is_address(name) else 'uri' if '://' in name else
                'email' if '@' in name else 'dns')
    good, made = {'dns': (is_host, x509.DNSName), 'email': (is_mailbox, x509.RFC822Name),
                  'uri': (is_uri, x509.UniformResourceIdentifier),
                  'ip': (is_address, lambda text: x509.IPAddress(ipaddress.ip_address(text)))}[kind]
    try:
        if good(name):
            return made(name)
    except ValueError:  # the library is stricter than we are
        pass
    raise Invalid(f'{_shown(name)} is not {_KINDS[kind]}.')


def text_of(name: x509.GeneralName) -> str:
    """A name as ``general_name`` takes it; of other kinds the kind alone."""
    for kind, prefix in ((x509.DNSName, 'DNS'), (x509.RFC822Name, 'email'),
                         (x509.UniformResourceIdentifier, 'URI'), (x509.IPAddress, 'IP')):
        if isinstance(name, kind):
            return f'{prefix}:{name.value}'
    return type(name).__name__


def key_of(name: x509.GeneralName) -> str:
    """The same for names that are the same: hosts have no case, and the rest keeps its own."""
    text = text_of(name)
    return text.lower() if isinstance(name, x509.DNSName) else text


def require_sane(found: Iterable[x509.GeneralName]) -> None:
    """Insist on names that are well formed, no more than ``MAX_NAMES``, and no two the same.

    :raises Invalid: one is not, or is of another kind.
    """
    seen: set[str] = set()
    for name in found:
        _require_well_formed(name)
        if (key := key_of(name)) in seen:
            raise Invalid(f'{_shown(str(name.value))} is named twice.')
        seen.add(key)
        if len(seen) > MAX_NAMES:
            raise Invalid(f'There are more than {MAX_NAMES} names.')


_KINDS = {'dns': 'a host name that a certificate may have', 'ip': 'an IP address',
          'email': 'a mailbox that a certificate may have', 'uri': 'an absolute URI'}


def _require_well_formed(name: x509.GeneralName) -> None:
    if isinstance(name, x509.IPAddress):
        if not isinstance(name.value, ipaddress.IPv4Address | ipaddress.IPv6Address):
            raise Invalid('A network stands where an IP address should.')
        return
    for type_, kind, good in ((x509.DNSName, 'dns', is_host), (x509.RFC822Name, 'email', is_mailbox),
                              (x509.UniformResourceIdentifier, 'uri', is_uri)):
        if isinstance(name, type_):
            if not good(name.value):
                raise Invalid(f'{_shown(name.value)} is not {_KINDS[kind]}.')
            return
    raise Invalid('There is a name that is neither a host name, an IP address, a mailbox nor a URI.')


def _decodes(label: str) -> bool:
    """Whether a label that claims to be an A-label (RFC 5890, 2.3.2.1) is the encoding of something."""
    if label[:4].lower() != 'xn--':
        return True
    encoded = label[4:].lower()
    try:
        decoded = encoded.encode('ascii').decode('punycode')
        return not decoded.isascii() and decoded.encode('punycode').decode('ascii') == encoded
    except (UnicodeError, ValueError, OverflowError):
        return False


def _shown(name: str) -> str:
    return ascii(name if len(name) <= 80 else name[:80] + '...')
