# SPDX-License-Identifier: Apache-2.0
"""Answers of an OCSP responder (RFC 6960; nonces: RFC 9654).

Who asks is a stranger: whatever comes, there is an answer, if only that there is none. A question is
answered under the hash that it names the issuer by, for clients look for their own words in the answer.

A question about several certificates at once is answered ``unauthorized``, which says that this
responder cannot (RFC 6960, 2.3): ``cryptography`` reads no such question, and clients of RFC 5019 ask
none.
"""
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from km.interfaces import OcspAnswer
from km.plugins.certificate_authority.local_ca.crls import reason_flag
from km.plugins.certificate_authority.local_ca.keys import digest_for

#: Questions have about a hundred bytes, and seldom more than a thousand if they are signed.
_MOST_BYTES = 8 * 1024
_MOST_NONCE_BYTES = 128

_MALFORMED = ocsp.OCSPResponseStatus.MALFORMED_REQUEST
_UNAUTHORIZED = ocsp.OCSPResponseStatus.UNAUTHORIZED
_UNDERSTOOD = (x509.OCSPNonce.oid, x509.OCSPAcceptableResponses.oid)


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a certificate that the issuer issued.

    :param revoked_at: UTC without a zone; None if it is not revoked.
    :param reason: one of ``km.interfaces.REVOCATION_REASONS``; None if nobody said.
    """

    revoked_at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Question:
    name_hash: bytes
    key_hash: bytes
    serial: int
    algorithm: hashes.HashAlgorithm
    nonce: bytes | None


class _NoAnswer(Exception):
    def __init__(self, status: ocsp.OCSPResponseStatus):
        super().__init__(status)
        self.status = status


def answer(request: bytes, *, issuer: x509.Certificate, responder: x509.Certificate, key: Any,
           status: Callable[[int], Status | None], now: datetime, lifetime: timedelta) -> OcspAnswer:
    """The answer to a question about a certificate of one issuer.

    Of an answer with the question's nonce, of one about an unknown certificate and of an error nothing
    may be kept for others: its ``next_update`` is None.

    :param request: OCSPRequest, DER, from a stranger.
    :param responder: the certificate of ``key``: the issuer's own, or one that the issuer issued for
        this (4.2.2.2), which then goes along.
    :param key: as ``cryptography`` takes private keys.
    :param status: what is known of the certificate with a serial number; None if there is none.
    :param now: UTC without a zone. ``producedAt`` is the time of the machine.
    :param lifetime: for how long the answer holds, but never longer than ``responder``.
    :raises Unavailable: ``status`` or the key's store says so.
    """
    try:
        asked = _read(request)
        _check_issuer(asked, issuer)
    except _NoAnswer as none:
        refusal = ocsp.OCSPResponseBuilder.build_unsuccessful(none.status)
        return OcspAnswer(content=refusal.public_bytes(Encoding.DER))
    found = status(asked.serial)
    now = now.replace(microsecond=0)
    # Whoever keeps an answer must find its signature good until the end.
    ends = min(now + lifetime, responder.not_valid_after_utc.replace(tzinfo=None))
    builder = _said(asked, found, now, ends).responder_id(
        ocsp.OCSPResponderEncoding.HASH, responder)
    if responder != issuer:
        builder = builder.certificates([responder])
    if asked.nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(asked.nonce), critical=False)
    signed = builder.sign(key, digest_for(key.public_key()))  # type: ignore[arg-type]
    kept = found is not None and asked.nonce is None
    return OcspAnswer(content=signed.public_bytes(Encoding.DER),
                      next_update=ends if kept else None)


def _read(request: bytes) -> _Question:
    if len(request) > _MOST_BYTES:
        raise _NoAnswer(_MALFORMED)
    try:
        read = ocsp.load_der_ocsp_request(request)
        extensions = list(read.extensions)
        asked = _Question(read.issuer_name_hash, read.issuer_key_hash, read.serial_number,
                          read.hash_algorithm, _nonce(extensions))
    except (NotImplementedError, UnsupportedAlgorithm):  # several questions; a hash of another kind
        raise _NoAnswer(_UNAUTHORIZED) from None
    except Exception:
        # The library reads late, and has an exception of its own for much of what it may find then.
        raise _NoAnswer(_MALFORMED) from None
    if any(extension.critical and extension.oid not in _UNDERSTOOD for extension in extensions):
        raise _NoAnswer(_UNAUTHORIZED)
    if asked.serial < 0 or (  # neither has anybody such a number, nor can the library write it
            asked.nonce is not None and not 1 <= len(asked.nonce) <= _MOST_NONCE_BYTES):  # RFC 9654, 2.1
        raise _NoAnswer(_MALFORMED)
    return asked


def _nonce(extensions: list[x509.Extension[Any]]) -> bytes | None:
    return next((extension.value.nonce for extension in extensions
                 if isinstance(extension.value, x509.OCSPNonce)), None)


def _check_issuer(asked: _Question, issuer: x509.Certificate) -> None:
    digest = hashes.Hash(asked.algorithm)
    digest.update(issuer.subject.public_bytes())
    # The library has no other way to tell the hash of a key; the name it takes is that of who is above.
    named = ocsp.OCSPRequestBuilder().add_certificate(issuer, issuer, asked.algorithm).build()
    if (asked.name_hash, asked.key_hash) != (digest.finalize(), named.issuer_key_hash):
        raise _NoAnswer(_UNAUTHORIZED)


def _said(asked: _Question, found: Status | None, now: datetime,
          next_update: datetime) -> ocsp.OCSPResponseBuilder:
    revoked_at = None if found is None else found.revoked_at
    reason = None
    if found is None:
        said = ocsp.OCSPCertStatus.UNKNOWN
    elif revoked_at is None:
        said = ocsp.OCSPCertStatus.GOOD
    else:
        said = ocsp.OCSPCertStatus.REVOKED
        reason = reason_flag(found.reason) if found.reason not in (None, 'unspecified') else None
    return ocsp.OCSPResponseBuilder().add_response_by_hash(
        asked.name_hash, asked.key_hash, asked.serial, asked.algorithm, cert_status=said,
        this_update=now, next_update=next_update, revocation_time=revoked_at, revocation_reason=reason)
