# SPDX-License-Identifier: Apache-2.0
"""What is asked of a certificate that was signed elsewhere before this authority issues by it."""
from datetime import datetime
from itertools import pairwise
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from km.interfaces import Rejected
from km.plugins.certificate_authority.local_ca import distinguished

#: There are no longer chains (RFC 5280 has no limit of its own).
_MOST_ABOVE = 10


def require_installable(certificate: bytes, chain: tuple[bytes, ...], public_key: Any, *,
                        now: datetime) -> None:
    """Insist that a certificate is an authority's, for this key, and that its chain vouches for it.

    :param certificate: X.509, DER.
    :param chain: the certificates above it, DER, its issuer first; at least that one.
    :param public_key: of the key that was requested for.
    :param now: UTC without a zone.
    :raises Rejected: the sentence says what is wrong.
    """
    if not 0 < len(chain) <= _MOST_ABOVE:
        raise Rejected('The certificates above it belong to it: that of its issuer first, then that of '
                       'its issuer, up to the root.')
    path = [_loaded(der) for der in (certificate, *chain)]
    try:
        if path[0].public_key() != public_key:
            raise Rejected('The certificate is not for the key of the last request.')
        for below, one in enumerate(path):
            _require_authority(one, below, now)
        _require_signs_crls(path[0])
        distinguished.require_common_name(path[0].subject)
        for signee, signer in pairwise(path):
            signee.verify_directly_issued_by(signer)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Rejected(f'The certificates do not fit each other ({error}).') from None
    except InvalidSignature:
        raise Rejected('A signature in the chain is not that of the certificate above it.') from None


def _loaded(der: bytes) -> x509.Certificate:
    try:
        loaded = x509.load_der_x509_certificate(der)
        _ = loaded.extensions, loaded.subject, loaded.issuer  # what is read later fails later
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise Rejected('A certificate cannot be read.') from None
    return loaded


def _require_authority(certificate: x509.Certificate, below: int, now: datetime) -> None:
    """Insist that a certificate is one of an authority that may have so many more below it."""
    named = f'The certificate of {certificate.subject.rfc4514_string()}'
    basic, usage = _basic(certificate), _usage(certificate)
    if basic is None or not basic.ca or (usage is not None and not usage.key_cert_sign):
        raise Rejected(f'{named} is not one of an authority that may issue certificates.')
    if basic.path_length is not None and basic.path_length < below:
        raise Rejected(f'{named} allows no authority so far below it.')
    if not (certificate.not_valid_before_utc.replace(tzinfo=None) <= now
            < certificate.not_valid_after_utc.replace(tzinfo=None)):
        raise Rejected(f'{named} is not valid now.')


def _require_signs_crls(certificate: x509.Certificate) -> None:
    usage = _usage(certificate)
    if usage is None or not usage.crl_sign:
        raise Rejected('The certificate does not say that its key may sign certificates and CRLs.')


def _basic(certificate: x509.Certificate) -> x509.BasicConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return None


def _usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    """Some old roots say nothing of it."""
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
