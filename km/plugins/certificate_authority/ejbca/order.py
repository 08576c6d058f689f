# SPDX-License-Identifier: Apache-2.0
"""An order as EJBCA is told of it, and how far it got."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from km.interfaces import IssueRequest, Reference
from km.plugins.certificate_authority.ejbca.options import Profile

#: EJBCA takes this as UTC; what it cannot read it passes over, without a word.
_TIME = '%Y-%m-%d %H:%M:%S'


@dataclass(frozen=True, slots=True)
class Order:
    """One order.

    :param username: of its end entity, which is this order's alone.
    """

    request: IssueRequest
    csr: x509.CertificateSigningRequest
    username: str
    profile: Profile

    def pem(self) -> str:
        """The request, PEM."""
        return self.csr.public_bytes(Encoding.PEM).decode()

    def end_time(self) -> dict[str, Any]:
        """The field that says when the certificate shall end, if the order does. Older versions of EJBCA
        refuse a request that has it, which is better than passing over it."""
        wish = self.request.not_after
        return {} if wish is None else {'end_time': wish.strftime(_TIME)}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an order got, as its reference has it.

    :param refusals: how often EJBCA answered 400.
    :param approval: the id of the request that people have to approve; None if that is not known.
    """

    refusals: int = 0
    approval: int | None = None

    @classmethod
    def of(cls, reference: Mapping[str, Any]) -> Progress:
        """What a reference says."""
        approval = reference.get('approval')
        return cls(int(reference.get('refusals', 0)), None if approval is None else int(approval))

    def reference(self) -> Reference:
        """The same for km to keep."""
        told: dict[str, str | int] = {'refusals': self.refusals}
        return told if self.approval is None else {**told, 'approval': self.approval}
