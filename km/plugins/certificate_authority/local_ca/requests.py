# SPDX-License-Identifier: Apache-2.0
"""Certification requests (PKCS#10, RFC 2986): what of one the profile grants.

A request is a stranger's. Nothing of it gets into a certificate but its key, once it proved to have the
other half, the names that the profile allows, and the extensions and attributes that the profile lists.
"""
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from km.interfaces import Rejected
from km.plugins.certificate_authority.local_ca import profile_values as values
from km.plugins.certificate_authority.local_ca import public_keys, wanted_names
from km.plugins.certificate_authority.local_ca.profiles import Profile

#: A request with an ML-DSA-87 key and a hundred long names fits in well.
_MOST_BYTES = 64 * 1024

_Extension = tuple[x509.ExtensionType, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a certificate shall have, beside what its issuer says of itself (AKI, CDP, AIA).

    :param public_key: as ``cryptography`` has it.
    :param not_before: UTC without a zone; ``not_after`` too.
    :param extensions: each with whether it is critical, in the order of the certificate.
    """

    subject: x509.Name
    public_key: Any
    not_before: datetime
    not_after: datetime
    extensions: tuple[_Extension, ...]


@dataclass(frozen=True, slots=True)
class _Read:
    subject: x509.Name
    public_key: Any
    extensions: tuple[x509.Extension[Any], ...]

    def extension(self, kind: type[x509.ExtensionType]) -> Any:
        """The value of the extension of a kind, or None."""
        return next((found.value for found in self.extensions if found.oid == kind.oid), None)


def wanted(csr: bytes, profile: Profile, *, now: datetime, not_after: datetime | None,
           issuer_ends: datetime, details: Mapping[str, str]) -> Wanted:
    """What certificate a request gets under a profile.

    :param csr: CertificationRequest (RFC 2986), DER, from a stranger.
    :param now: UTC without a zone, as all times here.
    :param not_after: when it shall end at the latest; None for the profile's time.
    :param issuer_ends: when the certificate of the issuer ends.
    :param details: what else the order said; the Local CA knows of nothing that could be.
    :raises Rejected: it gets none; the sentence tells the client why.
    """
    if details:
        raise Rejected(f'The Local CA has no use for {", ".join(sorted(map(repr, details)))}: what a '
                       'certificate is like is said by the request and the profile.')
    read = _read(csr)
    _check_is_no_authority(read)
    key_type = public_keys.require_good(read.public_key, profile)
    begins, ends = _life(profile, now, not_after, issuer_ends)
    names = wanted_names.names(read.subject, read.extension(x509.SubjectAlternativeName), profile)
    subject = wanted_names.subject(read.subject, names, profile)
    if not names and not list(subject):
        raise Rejected('The request names nothing that the certificate could be for.')
    extensions = [*_always(read.public_key, key_type, profile)]
    if names:
        extensions.append((x509.SubjectAlternativeName(names), not list(subject)))
    return Wanted(
        subject=subject, public_key=read.public_key, not_before=begins, not_after=ends,
        extensions=(*extensions, *_of_profile(profile), *_copied(read, profile)))


def _read(csr: bytes) -> _Read:
    if len(csr) > _MOST_BYTES:
        raise Rejected(f'The certification request is longer than {_MOST_BYTES} bytes.')
    try:
        request = x509.load_der_x509_csr(csr)
        read = _Read(request.subject, request.public_key(), tuple(request.extensions))
        proved = request.is_signature_valid
    except Exception:
        # The library reads late, and has an exception of its own for much of what it may find then.
        raise Rejected('The certification request cannot be read, or is of a kind that the Local CA '
                       'does not know.') from None
    if not proved:
        raise Rejected('The signature of the certification request is not that of its key.')
    return read


def _check_is_no_authority(read: _Read) -> None:
    constraints = read.extension(x509.BasicConstraints)
    usage = read.extension(x509.KeyUsage)
    if (constraints and constraints.ca) or (usage and (usage.key_cert_sign or usage.crl_sign)):
        raise Rejected('The request is for a certificate of an authority (CA:TRUE, or a key usage of '
                       'authorities), which no profile gives.')


def _life(profile: Profile, now: datetime, not_after: datetime | None,
          issuer_ends: datetime) -> tuple[datetime, datetime]:
    now = now.replace(microsecond=0)
    latest = now + profile.max_validity
    ends = now + profile.default_validity if not_after is None else min(
        not_after.replace(microsecond=0), latest)
    if ends <= now:
        raise Rejected('The certificate would have ended before it is issued.')
    if issuer_ends <= now:
        raise Rejected('The certificate of the authority has ended.')
    if ends > issuer_ends and profile.issuer_ends == 'refuse':
        raise Rejected('The certificate would end after that of its authority, which ends at '
                       f'{issuer_ends:%Y-%m-%dT%H:%M:%SZ}.')
    if profile.issuer_ends == 'cut':
        ends = min(ends, issuer_ends)
    return now - profile.backdating, ends


def _always(public_key: Any, key_type: str, profile: Profile) -> Iterable[_Extension]:
    usage = profile.key_usage_of(key_type)
    yield x509.BasicConstraints(ca=False, path_length=None), True
    yield x509.KeyUsage(key_cert_sign=False, crl_sign=False, **{
        argument: name in usage for name, argument in values.KEY_USAGES.items()}), True
    if profile.extended_key_usage:
        # RFC 3161, 2.3: only so is a time-stamping certificate one.
        stamps = ExtendedKeyUsageOID.TIME_STAMPING in profile.extended_key_usage
        yield x509.ExtendedKeyUsage(profile.extended_key_usage), stamps
    yield x509.SubjectKeyIdentifier.from_public_key(public_key), False


def _of_profile(profile: Profile) -> Iterable[_Extension]:
    if profile.policies:
        yield x509.CertificatePolicies([x509.PolicyInformation(policy, None)
                                        for policy in profile.policies]), False
    if profile.must_staple:
        yield x509.TLSFeature([x509.TLSFeatureType.status_request]), False
    if profile.short_lived:
        yield x509.UnrecognizedExtension(values.NO_REVOCATION, b'\x05\x00'), False


def _copied(read: _Read, profile: Profile) -> Iterable[_Extension]:
    for extension in read.extensions:
        if extension.oid in profile.copied_extensions and not (
                profile.must_staple and extension.oid == x509.TLSFeature.oid):
            yield extension.value, extension.critical
