# SPDX-License-Identifier: Apache-2.0
"""What ends in a Local CA: authorities of projects, older keys, what is known of old certificates."""
import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa

from km.interfaces import NotFound
from km.plugins.certificate_authority.local_ca.keys import Keys
from km.plugins.certificate_authority.local_ca.options import Policy
from km.plugins.certificate_authority.local_ca.publishing import Publishing
from km.plugins.certificate_authority.local_ca.responding import responder_of
from km.plugins.certificate_authority.local_ca.revocation import Revocation
from km.plugins.certificate_authority.local_ca.signers import Signer, Signers
from km.plugins.certificate_authority.local_ca.tables import (
    CERTIFICATES,
    CRLS,
    ISSUING,
    REMOVED,
    RESPONDER,
    ROOT,
    SUBORDINATE,
    SUPERSEDED,
)
from km.plugins.database import PluginDatabase

_AUTHORITIES = (ROOT, ISSUING, SUBORDINATE)
_ENDED = 'cessationOfOperation'
_DAY = timedelta(days=1)


class Upkeep:
    """All methods raise ``Unavailable`` when the key store or the database does not answer; they go on
    where they were cut off."""

    def __init__(self, policy: Policy, database: PluginDatabase, signers: Signers, keys: Keys, *,
                 publishing: Publishing, revocation: Revocation, now: Callable[[], datetime]):
        self._policy, self._database, self._now = policy, database, now
        self._signers, self._keys = signers, keys
        self._publishing, self._revocation = publishing, revocation

    def remove(self, authority_id: str) -> None:
        """Have an authority of a project, and all before it, sign nothing more, and destroy its key.

        What it issued is revoked, by a CRL that holds until the last of it has ended.
        """
        if not self._signers.of(authority_id):
            self._signers.bury(authority_id, SUBORDINATE)
        for signer in self._signers.of(authority_id):
            if signer.role == SUBORDINATE:
                self._end(self._signers.remove(signer))

    def sweep(self) -> None:
        """End what is over."""
        self._keys.destroy_abandoned()
        for signer in self._signers.all(*_AUTHORITIES):
            if signer.state == SUPERSEDED and self._is_over(signer):
                with contextlib.suppress(NotFound):  # another process was faster
                    self._signers.remove(signer)
        for signer in self._signers.all(*_AUTHORITIES):
            if signer.state == REMOVED and signer.key_id is not None:
                self._end(signer)
        with_key = {signer.id for signer in self._signers.issuers() if signer.key_id is not None}
        for responder in self._signers.all(RESPONDER):
            ended = responder.not_after is not None and responder.not_after < self._now()
            if ended or responder.parent_id not in with_key:
                self._dismiss(responder)
        self._prune()

    def _end(self, signer: Signer) -> None:
        """End a removed signer: that of a project with all that it issued, another one by itself."""
        if signer.role == SUBORDINATE:
            self._revocation.revoke_order(signer.id, _ENDED, revoked_at=self._now())
            if signer.key_id is not None and signer.certificate is not None:
                self._revocation.revoke_all(signer.id, _ENDED)
                with contextlib.suppress(NotFound):  # another has made it, and destroyed the key
                    self._publishing.last(signer, max(
                        filter(None, (signer.not_after, self._last_end(signer)))) + _DAY)
        for responder in self._signers.of(responder_of(signer)):
            self._dismiss(responder)
        self._signers.destroy_key(signer)

    def _dismiss(self, responder: Signer) -> None:
        with contextlib.suppress(NotFound):  # another process was faster
            self._signers.destroy_key(self._signers.remove(responder))
            self._signers.forget(responder)

    def _is_over(self, signer: Signer) -> bool:
        """Whether all that a signer has issued has ended, and its CRL has said so once more."""
        if signer.not_after is not None and signer.not_after < self._now():
            return True
        last = self._last_end(signer)
        return last is None or last < self._publishing.complete(signer).this_update

    def _last_end(self, signer: Signer) -> datetime | None:
        found = self._database.one(sa.select(sa.func.max(CERTIFICATES.c.not_after)).where(
            CERTIFICATES.c.issuer_id == signer.id))
        return found[0] if found else None

    def _prune(self) -> None:
        """Forget what ended long ago, and at once what is on no CRL; but not which keys are compromised.

        What is revoked stays until a CRL was made after its end.
        """
        kept = max(self._policy.keep_expired, 2 * self._policy.crl_period)
        self._database.run(CERTIFICATES.delete().where(
            sa.or_(CERTIFICATES.c.reason.is_(None), CERTIFICATES.c.reason != 'keyCompromise'),
            sa.or_(CERTIFICATES.c.not_after < self._now() - kept, sa.and_(
                ~CERTIFICATES.c.listed, CERTIFICATES.c.not_after < self._now()))))
        for signer in self._signers.all(*_AUTHORITIES):
            if (signer.state == REMOVED and signer.not_after and signer.not_after < self._now() - kept
                    and self._last_end(signer) is None):
                self._database.run(CRLS.delete().where(CRLS.c.issuer_id == signer.id))
                self._signers.forget(signer)
