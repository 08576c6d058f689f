# SPDX-License-Identifier: Apache-2.0
"""Profiles: what a certificate of the Local CA may be, by the name under which one is ordered.

A request says what is wished for; the profile says what of it is granted, and everything else that the
certificate has. Three are built in. A TOML file of the operator's, with a table for each, adds others,
or says of a built-in one what shall be otherwise.
"""
import dataclasses
import ipaddress
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from km.plugins.certificate_authority.local_ca import names
from km.plugins.certificate_authority.local_ca import profile_values as values

_EVERYWHERE = (ipaddress.ip_network('0.0.0.0/0'), ipaddress.ip_network('::/0'))
#: Longer than this, and somebody wants to know whether it was revoked (RFC 9608, 1).
_LONGEST_SHORT_LIFE = timedelta(days=10)

_PROFILE_NAME = re.compile('[a-z0-9][a-z0-9_-]{0,63}')

#: anyExtendedKeyUsage (RFC 5280, 4.2.1.12), with which a certificate is one for servers too.
_ANY_USAGE = x509.ObjectIdentifier('2.5.29.37.0')

#: What a key may be used for, by its kind (RFC 8017 and 3279; 8813; 8410; 9881).
_SIGNS = frozenset({'digitalSignature', 'contentCommitment'})
_USES = {
    'rsa': _SIGNS | {'keyEncipherment', 'dataEncipherment'},
    'p': _SIGNS | {'keyAgreement', 'encipherOnly', 'decipherOnly'}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What certificates of one kind may be. The names of its fields are the keys in a file.

    :param name: by which it is ordered.
    :param extended_key_usage: what they are for.
    :param key_usage: by their names in RFC 5280; of these a certificate has those that its key can do.
    :param key_types: some of ``profile_values.KEY_TYPES``.
    :param min_rsa_bits: how long an RSA key is at least.
    :param default_validity: for how long, if nobody says.
    :param max_validity: for how long at most.
    :param backdating: by how much they begin before they are issued, for clocks that are late.
    :param issuer_ends: what happens if one would end after its issuer: ``refuse``, ``cut``, ``allow``.
    :param domains: patterns of domain names (see ``names``).
    :param wildcards: whether a name may begin with a star.
    :param ip_ranges: where IP addresses may be.
    :param uris: patterns of URIs.
    :param emails: patterns of mail addresses.
    :param max_names: how many names one has at most.
    :param common_name: ``san``: that of the request, which must be one of the names; ``san_or_none``:
        the same, but left out if it is not; ``first_san``: the first of them; ``none``; ``csr``: that of
        the request, whatever it is.
    :param subject: attributes that every subject has, and their values.
    :param subject_from_csr: attributes that are taken from the request.
    :param policies: OIDs of certificate policies (RFC 5280, 4.2.1.4).
    :param short_lived: that nobody can ask whether one was revoked: it has no CDP and no OCSP URL, and
        is in no CRL (RFC 9608).
    :param must_staple: that servers must bring an OCSP answer along (RFC 7633).
    :param copied_extensions: OIDs of extensions that are taken from the request.
    """

    name: str
    extended_key_usage: tuple[x509.ObjectIdentifier, ...]
    key_usage: tuple[str, ...] = ('digitalSignature', 'keyEncipherment')
    key_types: tuple[str, ...] = ('rsa', 'p-256', 'p-384', 'p-521', 'ed25519')
    min_rsa_bits: int = 2048
    default_validity: timedelta = timedelta(days=90)
    max_validity: timedelta = timedelta(days=397)
    backdating: timedelta = timedelta(minutes=1)
    issuer_ends: str = 'cut'
    domains: tuple[str, ...] = ('*',)
    wildcards: bool = True
    ip_ranges: tuple[names.Network, ...] = _EVERYWHERE
    uris: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    max_names: int = 100
    common_name: str = 'san'
    subject: tuple[tuple[str, str], ...] = ()
    subject_from_csr: tuple[str, ...] = ()
    policies: tuple[x509.ObjectIdentifier, ...] = ()
    short_lived: bool = False
    must_staple: bool = False
    copied_extensions: tuple[x509.ObjectIdentifier, ...] = ()

    @property
    def for_servers(self) -> bool:
        """Whether what trusts such a certificate compares a name with it."""
        return ExtendedKeyUsageOID.SERVER_AUTH in self.extended_key_usage

    def key_usage_of(self, key_type: str) -> tuple[str, ...]:
        """The key usages that a key of this kind can have."""
        uses = _USES.get(key_type.partition('-')[0], _SIGNS)
        return tuple(usage for usage in self.key_usage if usage in uses)


BUILT_IN = {profile.name: profile for profile in (
    Profile(name='server', extended_key_usage=(ExtendedKeyUsageOID.SERVER_AUTH,)),
    Profile(name='client', extended_key_usage=(ExtendedKeyUsageOID.CLIENT_AUTH,),
            wildcards=False, common_name='csr'),
    Profile(name='peer', extended_key_usage=(
        ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)))}

_READERS: Mapping[str, Callable[[Any], Any]] = {
    'extended_key_usage': values.several(values.extended_key_usage),
    'key_usage': values.several(values.choice(values.KEY_USAGES)),
    'key_types': values.several(values.choice(values.KEY_TYPES)),
    'min_rsa_bits': values.number(2048, 8192),
    'default_validity': values.duration, 'max_validity': values.duration,
    'backdating': values.duration, 'issuer_ends': values.choice(values.ISSUER_ENDS),
    'domains': values.several(values.domain_pattern), 'wildcards': values.flag,
    'ip_ranges': values.several(values.ip_range), 'uris': values.several(values.uri_pattern),
    'emails': values.several(values.mailbox_pattern), 'max_names': values.number(1, 1000),
    'common_name': values.choice(values.COMMON_NAMES), 'subject': values.subject,
    'subject_from_csr': values.several(values.choice(values.SUBJECT)),
    'policies': values.several(values.oid), 'short_lived': values.flag, 'must_staple': values.flag,
    'copied_extensions': values.several(values.copied_extension)}


def load(path: str | None) -> dict[str, Profile]:
    """The profiles by their names: those built in, and what a file says.

    :param path: a TOML file (https://toml.io, 1.0); None for what is built in alone.
    :raises ValueError: the file cannot be used; one sentence says which profile and key is wrong.
    """
    found = dict(BUILT_IN)
    for name, table in (_tables(path) if path is not None else {}).items():
        if not _PROFILE_NAME.fullmatch(name):
            raise ValueError(f'{path}: a profile cannot be called {name!r}: small letters, digits, "-" '
                             'and "_", 64 of them at most.')
        if not isinstance(table, dict):
            raise ValueError(f'{path}: {name!r} stands outside of every profile.')
        try:
            found[name] = _profile(name, table, found.get(name))
        except _Wrong as wrong:
            raise ValueError(f'{path}: profile {name!r}: {wrong}.') from None
    return found


class _Wrong(Exception):
    def __init__(self, key: str, sentence: object):
        super().__init__(f'{key}: {sentence}')


def _tables(path: str) -> dict[str, Any]:
    try:
        with open(path, 'rb') as file:
            return tomllib.load(file)
    except OSError as error:
        raise ValueError(f'{path}: it cannot be read: {error.strerror}.') from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'{path}: it is not TOML: {error}.') from None


def _profile(name: str, table: Mapping[str, Any], built_in: Profile | None) -> Profile:
    read = {}
    for key, value in table.items():
        if key not in _READERS:
            raise _Wrong(key, 'there is no such key')
        try:
            read[key] = _READERS[key](value)
        except ValueError as error:
            raise _Wrong(key, error) from None
    if built_in is None and 'extended_key_usage' not in read:
        raise _Wrong('extended_key_usage', 'must be said of a new profile')
    profile = dataclasses.replace(built_in, **read) if built_in else Profile(name=name, **read)
    for key, sentence in _contradictions(profile):
        raise _Wrong(key, sentence)
    return profile


def _contradictions(profile: Profile) -> Iterator[tuple[str, str]]:
    """What cannot be true at once: a key, and why."""
    if not timedelta() < profile.default_validity <= profile.max_validity:
        yield 'default_validity', 'must be more than none, and max_validity at most'
    if profile.backdating > timedelta(days=1):
        yield 'backdating', 'must not be longer than a day'
    if not profile.key_types:
        yield 'key_types', 'must have one at least'
    for key_type in profile.key_types:
        if not set(profile.key_usage_of(key_type)) - {'encipherOnly', 'decipherOnly'}:
            yield 'key_usage', f'has nothing that a key of type {key_type} can do'
    if {'encipherOnly', 'decipherOnly'} & set(profile.key_usage) and (
            'keyAgreement' not in profile.key_usage):
        yield 'key_usage', 'has encipherOnly or decipherOnly, which mean nothing without keyAgreement'
    if ExtendedKeyUsageOID.TIME_STAMPING in profile.extended_key_usage and (
            len(profile.extended_key_usage) > 1):
        yield 'extended_key_usage', 'has timeStamping, which must stand alone (RFC 3161, 2.3)'
    if profile.for_servers and profile.common_name == 'csr':
        yield 'common_name', 'must not be csr with serverAuth: some clients take it for a domain name'
    if profile.common_name == 'csr' and (
            not profile.extended_key_usage or _ANY_USAGE in profile.extended_key_usage):
        yield 'common_name', ('must not be csr without an extended key usage that leaves serverAuth '
                              'out: some clients take it for a domain name')
    if profile.for_servers and not (profile.domains or profile.ip_ranges or profile.uris):
        yield 'domains', 'must allow something with serverAuth, or ip_ranges or uris must'
    if twice := {key for key, _ in profile.subject} & set(profile.subject_from_csr):
        yield 'subject_from_csr', f'has {min(twice)}, which subject has as well'
    if profile.short_lived:
        yield from _too_much_for_a_short_life(profile)


def _too_much_for_a_short_life(profile: Profile) -> Iterator[tuple[str, str]]:
    if profile.max_validity > _LONGEST_SHORT_LIFE:
        yield 'max_validity', (f'must not be longer than {_LONGEST_SHORT_LIFE.days}d with short_lived, '
                               'for nobody will know that one was revoked')
    if profile.must_staple:
        yield 'must_staple', 'must not be true with short_lived, for there is no OCSP answer'
    if ExtensionOID.TLS_FEATURE in profile.copied_extensions:
        yield 'copied_extensions', ('must not have the TLS feature with short_lived, for there is no '
                                    'OCSP answer')
