# SPDX-License-Identifier: Apache-2.0
"""The options of a Local CA, and what they come to."""
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from cryptography import x509
from oslo_config import cfg

from km.interfaces import KeyStore, Misconfigured
from km.plugins.certificate_authority.local_ca import (
    constraints,
    distinguished,
    linting,
    profiles,
)
from km.plugins.certificate_authority.local_ca.building import Publication
from km.plugins.certificate_authority.local_ca.profiles import Profile

#: The sizes that key stores make, the usual one first.
_BITS = {'ec': (384, 256, 521), 'rsa': (3072, 2048, 4096), 'ed25519': (256,)}
#: A day and some, as certificates count years.
_YEAR = timedelta(days=365)
_SAMPLE_PROJECT = 'project'
#: What certificates can have in them as a URL (RFC 3986, 2).
_WRITABLE = re.compile('[!-~]+')

OPTIONS = (
    cfg.StrOpt('connection', required=True, secret=True,
               help='SQLAlchemy URL of the database that keeps what this authority issued and revoked: '
                    'its memory, to be backed up with the keys.'),
    cfg.IntOpt('max_connections', default=20, min=1,
               help='Connections to that database that one process may open.'),
    cfg.IntOpt('database_timeout_seconds', default=20, min=1,
               help='How long to wait for a connection to that database and for each answer. Let it be '
                    'less than call_timeout_seconds.'),
    cfg.StrOpt('key_store', required=True,
               help='The enabled secret store that makes the keys of this authority and signs with '
                    'them: one whose plugin is a signing store, such as pkcs11 or simple_crypto. Keys '
                    'made before stay where they are.'),
    cfg.StrOpt('key_algorithm', default='ec', choices=tuple(_BITS),
               help='What new keys of this authority are. Key stores sign by no post-quantum algorithm '
                    'yet; a profile may allow ML-DSA keys of clients.'),
    cfg.IntOpt('key_bits', help='How long they are: 256, 384 (the default) or 521 for ec; 2048, 3072 '
                                '(the default) or 4096 for rsa; 256 for ed25519.'),
    cfg.StrOpt('root', default='own', choices=('own', 'elsewhere'),
               help='Whether the certificate of this authority is signed by a root that it makes itself '
                    'and keeps in key_store, or by one elsewhere, such as one that is offline: then '
                    '"km-manage ca request" writes the request and "km-manage ca install" takes the '
                    'certificate.'),
    cfg.StrOpt('subject', default='CN=km Issuing CA',
               help='Distinguished name of the issuing authority (RFC 4514), with one CN. That of its '
                    'successor ends in "G2", and so on.'),
    cfg.StrOpt('root_subject', default='CN=km Root CA',
               help='Distinguished name of the root, if it is its own.'),
    cfg.IntOpt('root_years', default=20, min=1, max=100, help='How long a root of its own is valid.'),
    cfg.IntOpt('issuing_years', default=5, min=1, max=100,
               help='How long the issuing authority is valid, though never longer than its root.'),
    cfg.IntOpt('subordinate_years', default=2, min=1, max=100,
               help='How long an authority of a project is valid, though never longer than the issuing '
                    'one.'),
    cfg.IntOpt('path_length', default=2, min=1, max=10,
               help='How many levels of authorities there may be below the root: 1 for the issuing '
                    'authority alone, 2 for those of projects below it.'),
    cfg.MultiStrOpt('subordinate_permitted', default=[],
                    help='A kind of names that an authority of a project may give certificates for; may '
                         'be there several times: DNS:{project}.example.org, IP:192.0.2.0/24, '
                         'email:example.org, URI:.example.org or directory:O=Example. {project} is the '
                         "project's id. A kind that no line permits is not constrained. Without any "
                         'line here and in subordinate_excluded, projects can have no authorities.'),
    cfg.MultiStrOpt('subordinate_excluded', default=[],
                    help='A kind of names that it may not, in the same words.'),
    cfg.StrOpt('profiles', help='A TOML file of profiles: what certificates there are, and who may '
                                'have which names. Without it there are server, client and peer.'),
    cfg.StrOpt('profile', default='server', help='The profile of an order that names none.'),
    cfg.BoolOpt('lint', default=True,
                help='Whether every certificate is linted before it is signed, and refused if that '
                     'finds an error. Needs pkilint.'),
    cfg.StrOpt('publication_url',
               help='Where everybody reaches /pki of this km, such as http://km.example.org:9311/pki. '
                    'It goes into certificates, for CRLs and OCSP, and cannot be changed in those that '
                    'are issued. Without it certificates say nothing of their revocation.'),
    cfg.IntOpt('crl_hours', default=24, min=1, max=24 * 366,
               help='How often a complete CRL is made. It is valid for half as long again.'),
    cfg.IntOpt('delta_crl_minutes', default=0, min=0, max=60 * 24 * 366,
               help='How often a delta CRL is made; 0 for none: then every revocation makes a complete '
                    'one.'),
    cfg.IntOpt('ocsp_minutes', default=60, min=1, max=60 * 24 * 30,
               help='How long an OCSP answer is valid.'),
    cfg.IntOpt('ocsp_responder_days', default=14, min=1, max=366,
               help='How long the certificate of an OCSP responder is valid; it is replaced when two '
                    'thirds of that are over.'),
    cfg.BoolOpt('revoke_expired', default=False,
                help='Whether a certificate that has ended can be revoked.'),
    cfg.IntOpt('keep_expired_days', default=90, min=1,
               help='How long what is known of a certificate is kept after its end.'),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What an operator wants, checked.

    :param publication: None if certificates say nothing of their revocation.
    :param delta_period: None for no delta CRLs.
    """

    own_root: bool
    subject: x509.Name
    root_subject: x509.Name
    root_life: timedelta
    issuing_life: timedelta
    subordinate_life: timedelta
    path_length: int
    permitted: tuple[str, ...]
    excluded: tuple[str, ...]
    profiles: Mapping[str, Profile]
    usual_profile: str
    lint: bool
    publication: Publication | None
    crl_period: timedelta
    delta_period: timedelta | None
    answer_life: timedelta
    responder_life: timedelta
    revoke_expired: bool
    keep_expired: timedelta
    algorithm: str
    bits: int


def policy_of(name: str, settings: Any, key_stores: Mapping[str, KeyStore]) -> Policy:
    """What a section comes to.

    :param name: the operator's name of the plugin.
    :raises Misconfigured: an option has a value that cannot work.
    """
    section = f'[certificate_authority:{name}]'
    if settings.key_store not in key_stores:
        raise Misconfigured(f"{section} key_store: '{settings.key_store}' is no enabled secret store "
                            f'that signs; there are: {", ".join(key_stores) or "none"}.')
    bits = settings.key_bits or _BITS[settings.key_algorithm][0]
    if bits not in _BITS[settings.key_algorithm]:
        raise Misconfigured(f'{section} key_bits: {settings.key_algorithm} keys have '
                            f'{" or ".join(map(str, sorted(_BITS[settings.key_algorithm])))} bits.')
    subject, root_subject = (
        _name(section, option, settings[option]) for option in ('subject', 'root_subject'))
    if distinguished.digest(subject) == distinguished.digest(root_subject):
        raise Misconfigured(f'{section} root_subject: it is the same as subject.')
    loaded = _profiles(section, settings)
    _require_constraints(section, settings)
    if settings.lint:
        linting.require_installed(f'{section} lint')
    return Policy(
        own_root=settings.root == 'own', subject=subject, root_subject=root_subject,
        root_life=settings.root_years * _YEAR, issuing_life=settings.issuing_years * _YEAR,
        subordinate_life=settings.subordinate_years * _YEAR, path_length=settings.path_length,
        permitted=tuple(settings.subordinate_permitted), excluded=tuple(settings.subordinate_excluded),
        profiles=loaded, usual_profile=settings.profile, lint=settings.lint,
        publication=_publication(section, name, settings),
        crl_period=timedelta(hours=settings.crl_hours),
        delta_period=timedelta(minutes=settings.delta_crl_minutes) or None,
        answer_life=timedelta(minutes=settings.ocsp_minutes),
        responder_life=timedelta(days=settings.ocsp_responder_days),
        revoke_expired=settings.revoke_expired, algorithm=settings.key_algorithm, bits=bits,
        keep_expired=timedelta(days=settings.keep_expired_days))


def _name(section: str, option: str, text: str) -> x509.Name:
    try:
        name = distinguished.parse(text)
        distinguished.require_common_name(name)
    except ValueError as error:
        raise Misconfigured(f'{section} {option}: {error}.') from None
    return name


def _profiles(section: str, settings: Any) -> Mapping[str, Profile]:
    try:
        loaded = profiles.load(settings.profiles)
    except ValueError as error:
        raise Misconfigured(f'{section} profiles: {error}') from None
    if settings.profile not in loaded:
        raise Misconfigured(f"{section} profile: there is no profile '{settings.profile}'; there are: "
                            f'{", ".join(sorted(loaded))}.')
    return loaded


def _require_constraints(section: str, settings: Any) -> None:
    for option in ('subordinate_permitted', 'subordinate_excluded'):
        if settings[option]:
            try:
                constraints.parse(settings[option], (), _SAMPLE_PROJECT)
            except ValueError as error:
                raise Misconfigured(f'{section} {option}: {error}.') from None


def _publication(section: str, name: str, settings: Any) -> Publication | None:
    if not settings.publication_url:
        return None
    try:
        url = urlsplit(settings.publication_url)
        usable = url.scheme in ('http', 'https') and url.hostname and url.port != 0 and not (
            url.query or url.fragment) and _WRITABLE.fullmatch(settings.publication_url)
    except ValueError:
        usable = False
    if not usable:
        raise Misconfigured(f'{section} publication_url: it is not an http URL.')
    return Publication(f'{settings.publication_url.rstrip("/")}/{quote(name, safe="")}',
                       deltas=settings.delta_crl_minutes > 0)
