# SPDX-License-Identifier: Apache-2.0
"""When an authority would have a certificate renewed (RFC 9773)."""
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import josepy
from cryptography import x509

from km.interfaces import RenewalWindow
from km.plugins.certificate_authority.acme.conversation import Conversation
from km.plugins.certificate_authority.acme.problems import Refusal
from km.plugins.certificate_authority.acme.transport import Answer, is_url

#: RFC 9773, 4.3: what to do if Retry-After is not there, and the bounds of what it may say.
_ASK_AFTER_SECONDS, _SOONEST_SECONDS = 21600.0, 60.0


def window(conversation: Conversation, certificate: bytes) -> RenewalWindow | None:
    """When to renew a certificate, X.509, DER; None if the authority does not say.

    :raises Refusal, Unavailable: not now.
    """
    service, identifier = conversation.directory.get('renewalInfo'), certificate_id(certificate)
    if not is_url(service) or identifier is None:
        return None
    try:
        answer = conversation.get(f'{str(service).rstrip("/")}/{identifier}')
    except Refusal as refusal:
        if refusal.passes:
            raise
        return None  # it does not know the certificate: it is another's, or ended long ago
    return _window(answer)


def certificate_id(certificate: bytes) -> str | None:
    """How a certificate is named there (RFC 9773, 4.1); None if it does not name its issuer's key."""
    try:
        read = x509.load_der_x509_certificate(certificate)
        issuer = read.extensions.get_extension_for_class(
            x509.AuthorityKeyIdentifier).value.key_identifier
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension,
            x509.UnsupportedGeneralNameType):
        return None
    if not issuer:
        return None
    # The content of a DER INTEGER: one more byte where the first bit would be a sign.
    serial = read.serial_number.to_bytes(read.serial_number.bit_length() // 8 + 1, 'big')
    return '.'.join(josepy.b64encode(one).decode() for one in (issuer, serial))


def _window(answer: Answer) -> RenewalWindow | None:
    told = answer.document()
    suggested = told.get('suggestedWindow') if isinstance(told, Mapping) else None
    if not isinstance(told, Mapping) or not isinstance(suggested, Mapping):
        return None
    start, end = _time(suggested.get('start')), _time(suggested.get('end'))
    if start is None or end is None or end <= start:  # RFC 9773, 4.2: then it is as if there were none
        return None
    wait, page = answer.retry_after_seconds(), told.get('explanationURL')
    return RenewalWindow(
        start=start, end=end, explanation_url=page if is_url(page) else None,
        ask_after_seconds=_ASK_AFTER_SECONDS if wait is None else max(wait, _SOONEST_SECONDS))


def _time(text: Any) -> datetime | None:
    """A moment (RFC 3339) as UTC without a zone."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None
