# SPDX-License-Identifier: Apache-2.0
"""Who answers OCSP questions for an issuer: somebody with a key of their own and a short certificate of
the issuer's (RFC 6960, 4.2.2.2), made when the first question comes."""
import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as wire

from km.interfaces import NotFound, OcspAnswer, Rejected
from km.plugins.certificate_authority.local_ca import distinguished, ocsp
from km.plugins.certificate_authority.local_ca.hierarchy import Hierarchy
from km.plugins.certificate_authority.local_ca.keys import Keys
from km.plugins.certificate_authority.local_ca.options import Policy
from km.plugins.certificate_authority.local_ca.revocation import Revocation
from km.plugins.certificate_authority.local_ca.signers import Intention, Signer, Signers
from km.plugins.certificate_authority.local_ca.tables import CURRENT, RESPONDER


class Responding:
    """All methods raise ``Unavailable`` when the key store or the database does not answer."""

    def __init__(self, policy: Policy, signers: Signers, keys: Keys, *, hierarchy: Hierarchy,
                 revocation: Revocation, now: Callable[[], datetime]):
        self._policy, self._signers, self._keys, self._now = policy, signers, keys, now
        self._hierarchy, self._revocation = hierarchy, revocation

    def answer(self, issuer: Signer, content: bytes) -> OcspAnswer:
        """The answer to an OCSPRequest, DER, from a stranger."""
        try:
            responder = self._responder(issuer)
            key = self._keys.private(responder.key_id)
        except (NotFound, Rejected):  # the issuer is removed, or has ended
            nobody = wire.OCSPResponseBuilder.build_unsuccessful(wire.OCSPResponseStatus.UNAUTHORIZED)
            return OcspAnswer(content=nobody.public_bytes(Encoding.DER))
        return ocsp.answer(
            content, issuer=issuer.loaded, responder=responder.loaded, key=key, now=self._now(),
            status=lambda serial: self._revocation.status(issuer.id, serial),
            lifetime=self._policy.answer_life)

    def renew(self, issuers: Sequence[Signer]) -> None:
        """Replace the responders of these issuers in time, of those that have one."""
        by_id = {issuer.id: issuer for issuer in issuers}
        for responder in self._signers.all(RESPONDER):
            issuer = by_id.get(responder.parent_id or '')
            if issuer is not None and responder.state == CURRENT and self._is_old(responder, issuer):
                with contextlib.suppress(NotFound, Rejected):  # the issuer was removed meanwhile
                    self._make(issuer, after=responder)

    def _responder(self, issuer: Signer) -> Signer:
        if issuer.key_id is None or issuer.not_after is None or issuer.not_after <= self._now():
            raise NotFound('The issuer answers nothing any more.')
        found = self._signers.current(responder_of(issuer))
        if found is not None and found.not_after is not None and found.not_after > self._now():
            return found
        return self._make(issuer, after=found)

    def _make(self, issuer: Signer, *, after: Signer | None) -> Signer:
        # What directory names the issuer may give begins as its own does, if anything does.
        name = distinguished.with_common_name(issuer.name, f'OCSP {issuer.id}')
        wanted = Intention(authority=responder_of(issuer), role=RESPONDER, name=name,
                           parent_id=issuer.id)
        return self._hierarchy.finish(self._signers.begin(wanted, after=after))

    def _is_old(self, responder: Signer, issuer: Signer) -> bool:
        return (responder.not_after is not None and responder.not_after != issuer.not_after
                and responder.not_after - self._now() < self._policy.responder_life / 3)


def responder_of(issuer: Signer) -> str:
    """The name of an issuer's responders, as ``Signer.authority`` has it."""
    return f'ocsp:{issuer.id}'
