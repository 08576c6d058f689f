# SPDX-License-Identifier: Apache-2.0
"""A certificate authority in memory that does as a test tells it, and remembers what it was asked."""
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from oslo_config import cfg

from km.interfaces import (
    REVOCATION_REASONS,
    Authority,
    CertificateAuthority,
    Issued,
    IssueRequest,
    NotSupported,
    Pending,
    PendingOrder,
    Rejected,
    RevokeRequest,
)
from km.testing.issuers import Issuer, new_certificate, new_issuer


def utc_now() -> datetime:
    """The time, UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


@dataclass
class Failure:
    """What goes wrong in a call, instead of what it should do, or after it has done it."""

    call: str
    error: Exception
    afterwards: bool


@dataclass
class Memory:
    """What an authority remembers, and how it shall behave.

    :param pending_polls: for how many calls of ``poll`` an order stays pending; 0 issues at once.
    :param poll_after_seconds: when it asks to be polled again.
    :param lifetime: of a certificate, unless its order ends it earlier.
    :param clock: tells the time, UTC without a zone.
    :param profiles: the profiles there are.
    :param details: which details of ``custom`` orders it knows.
    :param refused_names: DNS names that it does not issue for.
    :param issuers: by the names of the authorities; the first is the usual one.
    :param issued: what was issued, by order.
    :param waiting: the polls that are left, by order.
    :param requests: every request ``issue`` was ever given; ``calls`` has the kinds of all calls.
    :param everyone: all that ever issued, by their names in URLs; ``above`` who certifies a new key of
        each authority.
    """

    pending_polls: int = 0
    poll_after_seconds: float = 1.0
    lifetime: timedelta = timedelta(days=90)
    clock: Callable[[], datetime] = utc_now
    profiles: tuple[str, ...] = ('server', 'client')
    details: frozenset[str] = frozenset({'note'})
    refused_names: frozenset[str] = frozenset({'refused.example'})
    issuers: dict[str, Issuer] = field(default_factory=dict)
    everyone: dict[str, Issuer] = field(default_factory=dict)
    above: dict[str, Issuer] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    next_keys: dict[str, ec.EllipticCurvePrivateKey] = field(default_factory=dict, repr=False)
    crl_numbers: dict[str, int] = field(default_factory=dict)
    issued: dict[str, Issued] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    tickets: dict[str, str] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    revoked: dict[bytes, RevokeRequest] = field(default_factory=dict)
    requests: list[IssueRequest] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    lock: Any = field(default_factory=threading.RLock, repr=False)

    def fail(self, call: str, error: Exception, *, times: int = 1, afterwards: bool = False) -> None:
        """Have the next calls of a kind fail, such as ``issue``.

        :param afterwards: whether they have their effect first, as if the answer had been lost.
        """
        self.failures += [Failure(call, error, afterwards)] * times

    def add(self, name: str) -> Issuer:
        """Another authority, with a root of its own above it."""
        self.above[name] = new_issuer(f'{name}, the root', above=None)
        return self.enter(name, new_issuer(name, above=self.above[name]))

    def enter(self, name: str, issuer: Issuer) -> Issuer:
        """Have an authority issue by this from now on."""
        self.issuers[name] = self.everyone[issuer.name] = issuer
        return issuer


_SHARED: dict[str, Memory] = {}


class MemoryAuthority(CertificateAuthority):
    """Issues with keys that it forgets at its end, for tests.

    ``memory`` is what it remembers, and how a test makes it wait, fail or refuse. Instances with the
    same word in the option ``memory`` share one; ``remembered`` finds it without an instance.
    """

    options = (cfg.StrOpt('memory', default='', help='Instances with the same word share a memory.'),)

    @staticmethod
    def remembered(word: str) -> Memory:
        """The memory of that word."""
        return _SHARED.setdefault(word, Memory())

    def open(self) -> None:
        self.memory = self.remembered(self.settings.memory) if self.settings.memory else Memory()
        if not self.memory.issuers:
            self.memory.add('memory')

    def authorities(self) -> Sequence[Authority]:
        with Call(self.memory, 'authorities'):
            return [Authority(name=name, description=f'{name}, in memory', certificate=issuer.der,
                              chain=issuer.chain)
                    for name, issuer in self.memory.issuers.items()]

    def issue(self, request: IssueRequest) -> Issued | Pending:
        memory = self.memory
        with Call(memory, 'issue'):
            memory.requests.append(request)
            if request.order_id in memory.issued:
                return memory.issued[request.order_id]
            self._require_possible(request)
            if memory.pending_polls and request.order_id not in memory.waiting:
                memory.waiting[request.order_id] = memory.pending_polls
                memory.tickets[request.order_id] = str(uuid.uuid4())
            if request.order_id in memory.waiting:
                return self._pending(request)
            return self._issued(request)

    def poll(self, pending: PendingOrder) -> Issued | Pending:
        memory, order_id = self.memory, pending.order.order_id
        with Call(memory, 'poll'):
            if order_id in memory.issued:
                return memory.issued[order_id]
            if memory.tickets.get(order_id) != pending.reference.get('ticket'):
                raise Rejected('There is no such order.')
            memory.waiting[order_id] -= 1
            if memory.waiting[order_id] > 0:
                return self._pending(pending.order)
            del memory.waiting[order_id]
            return self._issued(pending.order)

    def cancel(self, pending: PendingOrder) -> None:
        order_id = pending.order.order_id
        with Call(self.memory, 'cancel'):
            self.memory.waiting.pop(order_id, None)
            self.memory.tickets.pop(order_id, None)
            self.memory.cancelled.add(order_id)

    def revoke(self, request: RevokeRequest) -> None:
        memory = self.memory
        with Call(memory, 'revoke'):
            if request.reason not in REVOCATION_REASONS:
                raise Rejected('There is no such reason.')
            if not any(issued.certificate == request.certificate for issued in memory.issued.values()):
                raise Rejected('That certificate is of another authority.')
            before = memory.revoked.get(request.certificate)
            if request.reason == 'removeFromCRL':
                if before and before.reason != 'certificateHold':
                    raise Rejected('That certificate is revoked for good.')
                memory.revoked.pop(request.certificate, None)
            elif before is None or before.reason == 'certificateHold':
                memory.revoked[request.certificate] = request

    def check(self) -> str:
        return f'{len(self.memory.issuers)} authorities in memory'

    def _require_possible(self, request: IssueRequest) -> None:
        if request.authority not in self.memory.issuers:
            raise Rejected('There is no such authority.')
        if self.memory.owners.get(request.authority, request.project_id) != request.project_id:
            raise Rejected('That authority is of another project.')
        if request.profile is not None and request.profile not in self.memory.profiles:
            raise NotSupported('There is no such profile.')
        if not request.details.keys() <= self.memory.details:
            raise NotSupported('There are details that mean nothing here.')
        if request.not_after is not None and request.not_after <= self.memory.clock():
            raise Rejected('The certificate would have ended already.')
        try:
            csr = x509.load_der_x509_csr(request.csr)
            good = csr.is_signature_valid and csr.extensions is not None
        except Exception:  # the library has several errors for what is no request
            good = False
        if not good:
            raise Rejected('The request cannot be read, or is not signed by its key.')
        if any(name in self.memory.refused_names for name in _dns_names(csr)):
            raise Rejected('There is a name that this authority does not issue for.')

    def _pending(self, request: IssueRequest) -> Pending:
        return Pending(reference={'ticket': self.memory.tickets[request.order_id]},
                       poll_after_seconds=self.memory.poll_after_seconds,
                       sentence='Somebody has to look at it.')

    def _issued(self, request: IssueRequest) -> Issued:
        issuer, now = self.memory.issuers[request.authority], self.memory.clock()
        csr = x509.load_der_x509_csr(request.csr)
        ends = now + self.memory.lifetime
        if request.not_after is not None:
            ends = min(ends, request.not_after)
        builder = new_certificate(csr.subject, csr.public_key(), issuer=issuer, begins=now, ends=ends)
        for extension in csr.extensions:
            if isinstance(extension.value, x509.SubjectAlternativeName):
                builder = builder.add_extension(extension.value, critical=not list(csr.subject))
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        certificate = builder.sign(issuer.key, hashes.SHA256())
        self.memory.issued[request.order_id] = Issued(
            certificate=certificate.public_bytes(Encoding.DER), chain=(issuer.der, *issuer.chain))
        return self.memory.issued[request.order_id]


class Call:
    """A call, alone in the memory, which fails as a test has said."""

    def __init__(self, memory: Memory, kind: str):
        self._memory, self._kind = memory, kind
        self._failure: Failure | None = None

    def __enter__(self) -> None:
        self._memory.lock.acquire()
        self._memory.calls.append(self._kind)
        self._failure = next((one for one in self._memory.failures if one.call == self._kind), None)
        if self._failure:
            self._memory.failures.remove(self._failure)
            if not self._failure.afterwards:
                self._memory.lock.release()
                raise self._failure.error

    def __exit__(self, *raised: object) -> None:
        self._memory.lock.release()
        if self._failure and raised[0] is None:
            raise self._failure.error


def _dns_names(csr: x509.CertificateSigningRequest) -> list[str]:
    return [name for extension in csr.extensions
            if isinstance(extension.value, x509.SubjectAlternativeName)
            for name in extension.value.get_values_for_type(x509.DNSName)]
