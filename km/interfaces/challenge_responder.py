# SPDX-License-Identifier: Apache-2.0
"""Who proves to an authority that names are ours."""
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from km.interfaces.plugin import Plugin


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """A proof that an authority wants (RFC 8555, 8; RFC 8737).

    :param identifier: the domain name, lower case, without ``*.``; or an IP address.
    :param token: what the authority calls it.
    :param key_authorization: what proves it: ``token.thumbprint`` (RFC 8555, 8.1).
    """

    identifier: str
    token: str
    key_authorization: str = field(repr=False)


class ChallengeResponder(Plugin):
    """Puts proofs where an authority looks for them.

    Whoever asks may do so several times at once, and from another process than the one that takes the
    proof away. Whatever was left by a process that was killed is taken away by ``open``, once it is old.

    :cvar kind: ``http-01``, ``dns-01`` or ``tls-alpn-01``.
    """

    kind: ClassVar[str]

    @abstractmethod
    def present(self, challenge: Challenge) -> float:
        """Put a proof there; no error if it is there already.

        :returns: after how many seconds to call again before the authority is told, because it is not
            visible everywhere yet; 0 if it is.
        :raises Rejected: it answers for no such identifier.
        :raises Unavailable: not now.
        """

    @abstractmethod
    def remove(self, challenge: Challenge) -> None:
        """Take a proof away; no error if it is gone.

        :raises Unavailable: not now.
        """
