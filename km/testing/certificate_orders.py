# SPDX-License-Identifier: Apache-2.0
"""Orders for the contract suites of certificate authorities, and waiting for what comes of them."""
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from km.interfaces import (
    CertificateAuthority,
    Issued,
    IssueRequest,
    Pending,
    PendingOrder,
    RevokeRequest,
    Unavailable,
)

#: A function of an authority and a pending order to its certificate.
Settle = Callable[[CertificateAuthority, PendingOrder], Issued]
#: As keystone's are.
PROJECT_ID = '5f1b6ad0a7d94c1c8d2e3f4a5b6c7d8e'
_MAX_PAUSE_SECONDS = 1.0


class OrderFixtures:
    """What the suites of certificate authorities need besides an authority; a subclass may write others.

    ``names``: two or more DNS names that it issues for. ``settle``: a function of an authority and a
    ``PendingOrder`` to what is issued, for one that waits for somebody whom a test has to play.
    ``another``: a function that opens one more with the same settings, as another process of km has it.
    """

    @pytest.fixture
    def names(self) -> Sequence[str]:
        return ('a.example', 'b.example')

    @pytest.fixture
    def settle(self) -> Settle:
        return until_issued

    @pytest.fixture
    def another(self, authority) -> Iterator[Callable[[], CertificateAuthority]]:
        opened = []

        def make() -> CertificateAuthority:
            made = type(authority)(authority.name, authority.settings)
            made.foreign = authority.foreign
            made.key_stores, made.responders = authority.key_stores, authority.responders
            made.open()
            opened.append(made)
            return made

        yield make
        for made in opened:
            made.close()


def new_order(authority: CertificateAuthority, names: Sequence[str], **more: Any) -> IssueRequest:
    """An order of a certificate for these DNS names and a new key, from the usual authority.

    :param more: further fields of ``IssueRequest``, or another ``csr``.
    """
    more.setdefault('csr', new_csr(names))
    return IssueRequest(order_id=str(uuid.uuid4()), project_id=PROJECT_ID,
                        authority=authority.authorities()[0].name, **more)


def new_csr(names: Sequence[str]) -> bytes:
    """PKCS#10, DER, by a new P-256 key; the first name is the common name too."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    return x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(
        x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False).sign(
        key, hashes.SHA256()).public_bytes(Encoding.DER)


def until_issued(authority: CertificateAuthority, pending: PendingOrder, *,
                 seconds: float = 60.0) -> Issued:
    """The certificate of a pending order, asked for again and again, and for no longer than that."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            answer = authority.poll(pending)
        except Unavailable:
            time.sleep(_MAX_PAUSE_SECONDS)
            continue
        if isinstance(answer, Issued):
            return answer
        pending = PendingOrder(order=pending.order, reference=answer.reference)
        time.sleep(min(answer.poll_after_seconds, _MAX_PAUSE_SECONDS))
    raise AssertionError(f'The order is still pending after {seconds} seconds.')


def obtained(authority: CertificateAuthority, order: IssueRequest, settle: Settle) -> Issued:
    """The certificate of an order."""
    answer = authority.issue(order)
    if isinstance(answer, Pending):
        return settle(authority, PendingOrder(order=order, reference=answer.reference))
    return answer


def obtained_once(authority: CertificateAuthority, order: IssueRequest,
                  settle: Settle) -> tuple[Issued, Callable[[CertificateAuthority], Issued]]:
    """The certificate of an order; and a function that asks an instance for it as km would that was
    killed before it had kept it: by ``issue`` if that gave it, or else by ``poll``, for km keeps what is
    pending before it polls."""
    answer = authority.issue(order)
    if isinstance(answer, Issued):
        return answer, lambda asked: obtained(asked, replace(order, attempt=2), settle)
    pending = PendingOrder(order=order, reference=answer.reference)
    return settle(authority, pending), lambda asked: settle(asked, pending)


def loaded(issued: Issued) -> tuple[x509.Certificate, list[x509.Certificate]]:
    """A certificate and the chain above it, parsed."""
    return (x509.load_der_x509_certificate(issued.certificate),
            [x509.load_der_x509_certificate(der) for der in issued.chain])


def require_chain(issued: Issued) -> None:
    """Insist that each certificate was signed by the one after it, which is one of an authority."""
    certificate, chain = loaded(issued)
    for below, above in zip([certificate, *chain], chain, strict=False):
        below.verify_directly_issued_by(above)
        assert above.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def revoke_request(order: IssueRequest, issued: Issued, reason: str = 'superseded') -> RevokeRequest:
    """What km asks to have a certificate revoked now."""
    return RevokeRequest(authority=order.authority, order_id=order.order_id, reason=reason,
                         certificate=issued.certificate,
                         revoked_at=datetime.now(UTC).replace(tzinfo=None))


def spki(key: Any) -> bytes:
    """A public key as SubjectPublicKeyInfo, DER."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
