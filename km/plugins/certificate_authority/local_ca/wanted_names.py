# SPDX-License-Identifier: Apache-2.0
"""The names of a certificate, and its subject: what a request asks for, held against the profile."""
import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from km.interfaces import Rejected
from km.plugins.certificate_authority.local_ca import names as syntax
from km.plugins.certificate_authority.local_ca.profile_values import SUBJECT, checked_attribute
from km.plugins.certificate_authority.local_ca.profiles import Profile

_LONGEST_COMMON_NAME = 64
_MOST_SHOWN = 80


def names(subject: x509.Name, alternative: x509.SubjectAlternativeName | None,
          profile: Profile) -> tuple[x509.GeneralName, ...]:
    """The names that go into the certificate, as the request has them, domains in lower case.

    A request that has none but a common name which reads as an address or a domain name has that.

    :raises Rejected: the profile does not allow one, it is no name, or there are too many or too few.
    """
    asked = list(alternative or ()) or list(_of_common_name(subject, profile))
    if len(asked) > profile.max_names:
        raise Rejected(f'The request has {len(asked)} names; the profile {profile.name} takes '
                       f'{profile.max_names}.')
    found = tuple(_checked(name, profile) for name in asked)
    if twice := [name for number, name in enumerate(found) if name in found[:number]]:
        raise Rejected(f'The request has the name {_shown(twice[0].value)} twice.')
    if profile.for_servers and not any(isinstance(name, _OF_SERVERS) for name in found):
        raise Rejected(f'The request has no domain name and no address, and the profile {profile.name} '
                       'is for servers.')
    return found


def subject(asked: x509.Name, found: Sequence[x509.GeneralName], profile: Profile) -> x509.Name:
    """The subject of the certificate: what the profile says and takes of the request, a common name.

    :param found: what ``names`` returned.
    :raises Rejected: what the request has cannot be in a subject.
    """
    fixed = [(key, value) for key, value in profile.subject]
    taken = [(key, str(attribute.value)) for key in profile.subject_from_csr
             for attribute in asked.get_attributes_for_oid(SUBJECT[key][0])]
    name = _common_name(asked, found, profile)
    common = [] if name is None else [('CN', name)]
    for key, value in (*taken, *common):
        try:
            checked_attribute(key, value)
        except ValueError as error:
            raise Rejected(f'The subject of the request {error}.') from None
    return x509.Name([
        *(x509.NameAttribute(oid, value) for key, (oid, _) in SUBJECT.items()
          for of, value in (*fixed, *taken) if of == key),
        *(x509.NameAttribute(NameOID.COMMON_NAME, value) for _, value in common)])


def _domain(text: str, profile: Profile) -> x509.GeneralName:
    name = (syntax.wildcard if '*' in text else syntax.domain)(text)
    if name.startswith('*') and not profile.wildcards:
        raise Rejected(f'The profile {profile.name} does not allow names with a star, such as {name}.')
    _require(syntax.domain_allowed(name, profile.domains), name, profile)
    return x509.DNSName(name)


def _address(address: Any, profile: Profile) -> x509.GeneralName:
    _require(syntax.address_allowed(address, profile.ip_ranges), str(address), profile)
    return x509.IPAddress(address)


def _mailbox(text: str, profile: Profile) -> x509.GeneralName:
    name = syntax.mailbox(text)
    _require(syntax.mailbox_allowed(name, profile.emails), name, profile)
    return x509.RFC822Name(name)


def _uri(text: str, profile: Profile) -> x509.GeneralName:
    name = syntax.uri(text)
    _require(syntax.uri_allowed(name, profile.uris), name, profile)
    return x509.UniformResourceIdentifier(name)


_KINDS: Mapping[type[x509.GeneralName], tuple[str, Callable[[Any, Profile], x509.GeneralName]]] = {
    x509.DNSName: ('a domain name', _domain), x509.IPAddress: ('an IP address', _address),
    x509.RFC822Name: ('a mail address', _mailbox), x509.UniformResourceIdentifier: ('a URI', _uri)}
_OF_SERVERS = (x509.DNSName, x509.IPAddress, x509.UniformResourceIdentifier)


def _checked(name: x509.GeneralName, profile: Profile) -> x509.GeneralName:
    if type(name) not in _KINDS:
        raise Rejected('The request has a name that is no domain name, IP address, mail address or URI; '
                       'the Local CA gives certificates for these.')
    kind, read = _KINDS[type(name)]
    try:
        return read(name.value, profile)
    except ValueError as error:
        raise Rejected(f'The request has {_shown(name.value)}, which is not {kind}: {error}.') from None


def _require(allowed: bool, name: str, profile: Profile) -> None:
    if not allowed:
        raise Rejected(f'The profile {profile.name} does not allow the name {_shown(name)}.')


def _of_common_name(asked: x509.Name, profile: Profile) -> Iterator[x509.GeneralName]:
    name = None if profile.common_name == 'csr' else _only_common_name(asked)
    if name is None:
        return
    address = _as_address(name)
    if address is not None:
        yield x509.IPAddress(address)
    elif name.isascii() and ' ' not in name:
        yield x509.DNSName(name)


def _common_name(asked: x509.Name, found: Iterable[x509.GeneralName], profile: Profile) -> str | None:
    texts = [str(name.value) for name in found]
    if profile.common_name == 'first_san':
        return next((text for text in texts if len(text) <= _LONGEST_COMMON_NAME), None)
    name = None if profile.common_name == 'none' else _only_common_name(asked)
    if name is None or profile.common_name == 'csr':
        return name
    meant = str(_as_address(name) or name).lower()
    same = next((text for text in texts if text.lower() == meant), None)
    if same is None and profile.common_name == 'san':
        raise Rejected(f'The common name of the request, {_shown(name)}, is none of its names.')
    return same


def _only_common_name(asked: x509.Name) -> str | None:
    found = [str(attribute.value) for attribute in asked.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(found) > 1:
        raise Rejected('The subject of the request has more than one common name.')
    return found[0] if found and found[0] else None


def _as_address(text: str) -> syntax.Address | None:
    try:
        return None if '%' in text else ipaddress.ip_address(text)  # a zone is of one host (RFC 4007)
    except ValueError:
        return None


def _shown(name: object) -> str:
    text = str(name)
    return ascii(text if len(text) <= _MOST_SHOWN else f'{text[:_MOST_SHOWN]}...')
