# SPDX-License-Identifier: Apache-2.0
"""Name constraints (RFC 5280, 4.2.1.10): from an operator's words, and which names they forbid.

An entry is ``DNS:example.org``, ``IP:192.0.2.0/24``, ``email:example.org``, ``URI:.example.org`` or
``directory:O=Example,C=CH``. In each, ``{project}`` stands for the id of the project.
"""
import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from km.plugins.certificate_authority.local_ca import distinguished

_PROJECT = re.compile('[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?')
_DOMAIN = re.compile(r'[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+')
_HOST = re.compile(r'\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*')

_MAKERS: dict[str, Callable[[str], x509.GeneralName]] = {
    'DNS': lambda value: x509.DNSName(_checked(value)),
    'IP': lambda value: x509.IPAddress(ipaddress.ip_network(value)),
    'email': lambda value: x509.RFC822Name(
        '@'.join([*value.split('@')[:-1], _checked(value.split('@')[-1])])),
    'URI': lambda value: x509.UniformResourceIdentifier(_checked(value)),
    'directory': lambda value: x509.DirectoryName(distinguished.parse(value)),
}


def parse(permitted: Sequence[str], excluded: Sequence[str], project: str) -> x509.NameConstraints:
    """The extension for an authority of a project.

    :raises ValueError: an entry is none, or the project's id is no label of a domain.
    """
    if not _PROJECT.fullmatch(project):
        raise ValueError("the project's id is not one that a domain can have in its name")
    made = [[_entry(entry, project) for entry in entries] for entries in (permitted, excluded)]
    return x509.NameConstraints(*(entries or None for entries in made))


def _entry(entry: str, project: str) -> x509.GeneralName:
    kind, _, value = entry.strip().partition(':')
    if kind not in _MAKERS:
        raise ValueError(f"'{entry}' begins with none of {', '.join(f'{kind}:' for kind in _MAKERS)}")
    try:
        return _MAKERS[kind](value.strip().replace('{project}', project))
    except ValueError as error:
        raise ValueError(f"'{entry}' is not a constraint ({error})") from None


def _checked(host: str) -> str:
    if not _HOST.fullmatch(host):
        raise ValueError('it is no name of a domain or host')
    return host.lower()


def breach(above: Sequence[x509.Certificate], subject: x509.Name,
           alternatives: Sequence[x509.GeneralName]) -> str | None:
    """The first name that the authorities above a certificate must not give it, as a person reads it.

    :param above: the certificates of these authorities.
    :param alternatives: the subject alternative names.
    """
    for certificate in above:
        try:
            constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
        except x509.ExtensionNotFound:
            continue
        for name in _names(subject, alternatives):
            if not permits(constraints, name):
                value = name.value
                return value.rfc4514_string() if isinstance(value, x509.Name) else str(value)
    return None


def _names(subject: x509.Name, alternatives: Sequence[x509.GeneralName]) -> Iterator[x509.GeneralName]:
    """Every name that verifiers look at, those among them that look at the subject too."""
    yield from alternatives
    if subject.rdns:
        yield x509.DirectoryName(subject)
    for attribute in subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS):
        yield x509.RFC822Name(str(attribute.value))
    if not any(isinstance(name, x509.DNSName) for name in alternatives):
        for attribute in subject.get_attributes_for_oid(NameOID.COMMON_NAME):
            if _DOMAIN.fullmatch(str(attribute.value)):
                yield x509.DNSName(str(attribute.value))


def permits(constraints: x509.NameConstraints, name: x509.GeneralName) -> bool:
    """Whether a certificate below whoever has these constraints may have a name."""
    permitted, excluded = ([base for base in bases or () if type(base) is type(name)] for bases in (
        constraints.permitted_subtrees, constraints.excluded_subtrees))
    within = _WITHIN.get(type(name))
    if within is None:
        return True
    if isinstance(name, x509.DNSName) and name.value.startswith('*.'):
        parent = name.value[2:].lower()
        if any(base.value.lower().partition('.')[2] == parent for base in excluded):
            return False
    return not any(within(name.value, base.value) for base in excluded) and (
        not permitted or any(within(name.value, base.value) for base in permitted))


def _dns(name: str, base: str) -> bool:
    name, base = name.lower(), base.lower()
    return not base or name == base or name.endswith('.' + base.removeprefix('.'))


def _host(name: str, base: str) -> bool:
    """A base that begins with a dot is whatever is below it, another is that host."""
    return name.lower().endswith(base.lower()) if base.startswith('.') else name.lower() == base.lower()


def _mailbox(name: str, base: str) -> bool:
    local, _, host = name.rpartition('@')
    wanted, at, domain = base.rpartition('@')
    return _host(host, domain) and (not at or local == wanted)


def _directory(name: x509.Name, base: x509.Name) -> bool:
    wanted = distinguished.compared(base)
    return distinguished.compared(name)[:len(wanted)] == wanted


def _address(name: Any, base: Any) -> bool:
    return name.version == base.version and name in base


_WITHIN: dict[type, Callable[[Any, Any], bool]] = {
    x509.DNSName: _dns, x509.IPAddress: _address, x509.RFC822Name: _mailbox,
    x509.DirectoryName: _directory,
    x509.UniformResourceIdentifier: lambda name, base: _host(urlsplit(name).hostname or '', base),
}
