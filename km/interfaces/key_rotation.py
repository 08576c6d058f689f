# SPDX-License-Identifier: Apache-2.0
"""Secret stores whose keys can be replaced while they are in use."""
from abc import ABC, abstractmethod

from km.interfaces.secret_store import StoredSecret


class MasterKeyRotation(ABC):
    """What a secret store may be besides: one whose master key can be replaced.

    It has other keys that the master key seals: "rewrapping" seals those again, and touches no payload.
    """

    @abstractmethod
    def new_master_key(self) -> str:
        """Make a master key and seal with it from now on, here and, as soon as they notice, in all other
        processes that use this store. Those before it go on opening what they sealed.

        :returns: its public id.
        :raises NotSupported: the operator must make it elsewhere; the sentence says where.
        :raises Unavailable: not now.
        """

    @abstractmethod
    def to_rewrap(self) -> int:
        """How many keys are sealed by another master key than the newest.

        :raises Unavailable: not now.
        """

    @abstractmethod
    def rewrap(self, *, limit: int) -> int:
        """Seal some keys under the newest master key again.

        Others may use the store, or rewrap too, and may be killed at any time.

        :param limit: how many at the most.
        :returns: how many it looked at; 0 when there are none left.
        :raises CannotOpen: one does not open, under whatever master key there is.
        :raises Unavailable: not now.
        """


class ProjectKeyRotation(ABC):
    """What a secret store may be besides: one with keys of its own for each project, which can be
    replaced and destroyed."""

    @abstractmethod
    def new_project_key(self, project_id: str) -> None:
        """Make a key for a project and seal with it from now on, in every process.

        If the store has none for this project, nothing happens.

        :raises Unavailable: not now.
        """

    @abstractmethod
    def rekey(self, stored: StoredSecret) -> bool:
        """Seal a payload anew under its project's newest key. It can be read at every moment, under the
        same reference.

        :returns: False if it was sealed so already, or is gone.
        :raises CannotOpen: it does not open.
        :raises Unavailable: not now.
        """

    @abstractmethod
    def destroy_project_keys(self, project_id: str, *, newest: bool) -> int:
        """Destroy a project's keys; whatever is still sealed by them can never be opened again.

        :param newest: whether to destroy the newest too; else only those before it, or before the one
            that ``new_project_key`` made here, if somebody else has made a newer one since.
        :returns: how many were destroyed.
        :raises Unavailable: not now.
        """
