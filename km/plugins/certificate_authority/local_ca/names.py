# SPDX-License-Identifier: Apache-2.0
"""Names as certificates hold them: what is one (RFC 1123, 5321, 5890, 3986), and what patterns allow it.

A pattern is what an operator writes into a profile. In all of them ``*`` stands for one character or
more of one part: of a label between two dots, of a mailbox before or after its ``@``, of what is between
two of ``/?#@:`` in a URI. There is one star in a part at most, so that no name takes long to compare.
``**`` at the end of a URI stands for any end. ``.example.org`` stands for whatever is below that domain.
"""
import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

import idna

_LONGEST_DOMAIN, _LONGEST_LABEL = 253, 63
_LONGEST_MAILBOX, _LONGEST_LOCAL_PART = 254, 64
_LONGEST_URI = 2048

_LABEL = re.compile(r'[a-z0-9]([a-z0-9-]*[a-z0-9])?')
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:([A-Za-z0-9._~:/?#@!$&'()*+,;=\[\]-]|%[0-9A-Fa-f]{2})+")

#: What one star stands for, by what the pattern is of.
_ONE_PART = {'domain': '[a-z0-9-]+', 'mailbox': '[^@]+', 'uri': '[^/?#@:]+'}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def domain(text: str) -> str:
    """A domain name in lower case, once it is known to be one that can be looked up (RFC 5280, 4.2.1.6).

    :raises ValueError: it is none; the sentence says why, without the name.
    """
    if not text:
        raise ValueError('it is empty')
    if not text.isascii():
        raise ValueError('it is not ASCII; such labels are written as "xn--..." (RFC 5890)')
    if len(text) > _LONGEST_DOMAIN:
        raise ValueError(f'it is longer than {_LONGEST_DOMAIN} characters')
    lower = text.lower()
    labels = lower.split('.')
    for label in labels:
        _check_label(label)
    if labels[-1].isdigit():
        raise ValueError('its last label is a number')
    return lower


def wildcard(text: str) -> str:
    """A name of which the label at the left end is a star (RFC 9525, 6.3), in lower case.

    :raises ValueError: it is none; the sentence says why, without the name.
    """
    star, _, parent = text.partition('.')
    if star != '*':
        raise ValueError('a star stands for the whole label at the left end, or nowhere')
    if '*' in parent:
        raise ValueError('it has more than one star')
    if '.' not in parent:
        raise ValueError('a star needs two labels or more after it')
    return f'*.{domain(parent)}'


def mailbox(text: str) -> str:
    """A mail address whose domain is in lower case (RFC 5321, 4.1.2, without quoted local parts).

    :raises ValueError: it is none; the sentence says why, without the address.
    """
    local, _, host = text.rpartition('@')
    if len(text) > _LONGEST_MAILBOX or len(local) > _LONGEST_LOCAL_PART:
        raise ValueError('it is too long')
    if not _LOCAL_PART.fullmatch(local):
        raise ValueError('what is before the "@" is not a local part')
    return f'{local}@{domain(host)}'


def uri(text: str) -> str:
    """An absolute URI, as it is (RFC 3986).

    :raises ValueError: it is none; the sentence says why, without the URI.
    """
    if len(text) > _LONGEST_URI:
        raise ValueError(f'it is longer than {_LONGEST_URI} characters')
    if not _URI.fullmatch(text):
        raise ValueError('it is not an absolute URI (RFC 3986)')
    parts = urlsplit(text)  # a ValueError of its own for brackets that do not match
    if not (parts.netloc or parts.path.strip('/')):
        raise ValueError('it names nothing')
    # Else a pattern for one folder could be met by what is in another.
    if {'.', '..'} & set(unquote(parts.path).split('/')):
        raise ValueError('its path has "." or ".." in it')
    return text


def domain_allowed(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of these patterns allows a name that ``domain`` or ``wildcard`` returned.

    A wildcard is allowed by a pattern that allows every name it stands for, and by no other.
    """
    return any(_covers(pattern.lower(), name) for pattern in patterns)


def mailbox_allowed(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of these patterns allows an address that ``mailbox`` returned."""
    return any(_glob(pattern, 'mailbox').fullmatch(name) for pattern in patterns)


def uri_allowed(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of these patterns allows a URI that ``uri`` returned."""
    return any(_glob(pattern, 'uri').fullmatch(name) for pattern in patterns)


def address_allowed(address: Address, ranges: Iterable[Network]) -> bool:
    """Whether an IP address is in one of these ranges."""
    return any(address in network for network in ranges)


def domain_pattern(text: str) -> str:
    """A pattern of domain names, in lower case, once it is known to be one.

    :raises ValueError: it is none; the sentence says why.
    """
    if text == '*':
        return text
    require_few_stars(text, '.')
    try:
        # What a star stands for is a letter here, so that the rest can be read as a name.
        domain(text.lower().removeprefix('.').replace('*', 'x'))
    except ValueError as error:
        raise ValueError(f'{text!r} is not a pattern of domain names: {error}') from None
    return text.lower()


def require_few_stars(pattern: str, between: str) -> None:
    """
    :param between: the characters between two parts.
    :raises ValueError: a part of the pattern has more than one star.
    """
    if any(part.count('*') > 1 for part in re.split(f'[{re.escape(between)}]', pattern)):
        raise ValueError(f'{pattern!r} has more than one star in one part')


def _check_label(label: str) -> None:
    if not label:
        raise ValueError('it has an empty label, such as a dot at one end makes')
    if len(label) > _LONGEST_LABEL:
        raise ValueError(f'a label is longer than {_LONGEST_LABEL} characters')
    if not _LABEL.fullmatch(label):
        raise ValueError('a label is not of letters, digits and, between them, hyphens')
    if label.startswith('xn--'):
        try:
            readable = idna.ulabel(label)
            valid = not readable.isascii() and idna.alabel(readable) == label.encode()
        except (idna.IDNAError, UnicodeError):
            valid = False
        if not valid:
            raise ValueError('a label that begins with "xn--" is not a valid A-label (RFC 5891)')


def _covers(pattern: str, name: str) -> bool:
    if pattern == '*':
        return True
    if pattern.startswith('.'):
        return name.endswith(pattern)
    first, _, parent = name.partition('.')
    if first != '*':
        return bool(_glob(pattern, 'domain').fullmatch(name))
    any_label, _, above = pattern.partition('.')
    return any_label == '*' and bool(_glob(above, 'domain').fullmatch(parent))


def _glob(pattern: str, kind: str) -> re.Pattern[str]:
    # re keeps what it compiled.
    stars = {'**': '.*', '*': _ONE_PART[kind]}
    return re.compile(''.join(stars.get(part) or re.escape(part)
                              for part in re.split(r'(\*\*|\*)', pattern)))
