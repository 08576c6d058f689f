# SPDX-License-Identifier: Apache-2.0
"""A certificate authority as the house has it."""
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from km.hosting.guest import Guest, is_reference, is_text
from km.interfaces import (
    Authority,
    CertificateAuthority,
    Crl,
    Issued,
    IssueRequest,
    OcspAnswer,
    Pending,
    PendingOrder,
    RenewalWindow,
    RevokeRequest,
)

_LONGEST_NAME = 255


def _are_certificates(answer: Any) -> bool:
    return isinstance(answer, tuple) and all(type(one) is bytes and one for one in answer)


def _is_authority(answer: Any) -> bool:
    return (isinstance(answer, Authority) and type(answer.description) is str
            and type(answer.name) is str and 0 < len(answer.name) <= _LONGEST_NAME
            and (answer.certificate is None or _are_certificates((answer.certificate,)))
            and _are_certificates(answer.chain))


def _is_progress(answer: Any) -> bool:
    if isinstance(answer, Issued):
        return _are_certificates((answer.certificate,)) and _are_certificates(answer.chain)
    return (isinstance(answer, Pending) and is_reference(answer.reference)
            and type(answer.sentence) is str and _is_duration(answer.poll_after_seconds))


def _is_duration(answer: Any) -> bool:
    return type(answer) in (int, float) and math.isfinite(answer) and answer >= 0


def _is_window(answer: Any) -> bool:
    return answer is None or (
        isinstance(answer, RenewalWindow) and _are_times(answer.start, answer.end)
        and answer.start <= answer.end and _is_duration(answer.ask_after_seconds))


def _is_crl(answer: Any) -> bool:
    return isinstance(answer, Crl) and type(answer.content) is bytes and _are_times(
        answer.this_update, answer.next_update)


def _are_times(*answers: Any) -> bool:
    return all(type(one) is datetime and one.tzinfo is None for one in answers)


class HostedAuthority(Guest):
    """A certificate authority of the operator's. Its methods do what ``CertificateAuthority`` says; see
    ``Guest``."""

    what = 'certificate authority'
    guest: CertificateAuthority
    leaves = ('make_subordinate',)
    #: Whether somebody else than who places an order must approve it before anything is asked here.
    needs_approval: bool = False
    #: The newest complete CRL of each issuer, as of the last sweep here.
    published: Mapping[str, Crl] = {}
    looks_right: ClassVar[Mapping[str, Callable[[Any], bool]]] = {
        'check': is_text,
        'authorities': lambda answer: isinstance(answer, list | tuple) and len(answer) > 0 and all(
            map(_is_authority, answer)),
        'issue': _is_progress,
        'poll': _is_progress,
        'make_subordinate': _is_authority,
        'renewal_window': _is_window,
        'issuer_certificate': lambda answer: _are_certificates((answer,)),
        'crl': _is_crl,
        'ocsp': lambda answer: isinstance(answer, OcspAnswer) and type(answer.content) is bytes and (
            answer.next_update is None or _are_times(answer.next_update)),
        'publish': lambda answer: isinstance(answer, Mapping) and all(map(_is_crl, answer.values())),
        'rotate_issuer': is_text,
        'issuer_request': lambda answer: isinstance(answer, bytes),
        'install_issuer': is_text,
    }

    def _undo(self, method: str, request: Any, answer: Any) -> None:
        """Remove a subordinate that was made after its deadline: nobody was told of it."""
        self._made('remove_subordinate', request.authority_id)

    def authorities(self) -> Sequence[Authority]:
        """Those that it issues as; the first is the usual one."""
        return self._call('authorities')

    def issue(self, request: IssueRequest) -> Issued | Pending:
        """Issue a certificate, or begin to."""
        return self._call('issue', request)

    def poll(self, pending: PendingOrder) -> Issued | Pending:
        """Go on with an order that was pending."""
        return self._call('poll', pending)

    def cancel(self, pending: PendingOrder) -> None:
        """Give up an order that was pending."""
        self._call('cancel', pending)

    def revoke(self, request: RevokeRequest) -> None:
        """Revoke a certificate."""
        self._call('revoke', request)
