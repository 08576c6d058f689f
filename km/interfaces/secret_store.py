# SPDX-License-Identifier: Apache-2.0
"""Where payloads are kept."""
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from km.interfaces.plugin import Plugin

#: What a store needs to find a payload again: a flat JSON object of at most 4 KiB, opaque to km, kept
#: in the metadata database. It must hold neither payload nor ciphertext nor any key, wrapped or not.
Reference = Mapping[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest:
    """A payload to keep.

    :param secret_id: lower-case UUID; label the kept object with it, so that ``find`` can name it.
    :param project_id: the owner.
    :param payload: at least one byte; never part of a ``repr``.
    :param secret_type: symmetric, public, private, passphrase, certificate or opaque: what its owner
        says it is. The payload may well be something else, and comes back byte for byte all the same.
    :param algorithm: what the owner says it is for, such as ``aes``, in whatever case.
    :param bit_length: likewise; whether it is that of the payload nobody has checked.
    """

    secret_id: str
    project_id: str
    payload: bytes = field(repr=False)
    secret_type: str = 'opaque'
    algorithm: str | None = None
    bit_length: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSecret:
    """A payload that was kept, as the metadata know it.

    A store can bind all three to what it keeps, so that rows swapped in any database never open.
    ``project_id`` is empty when something is deleted that the metadata know nothing of.
    """

    secret_id: str
    project_id: str
    reference: Reference


class SecretStore(Plugin):
    """Keeps payloads. km trusts it with bytes, never with names, owners or rules.

    Methods may be called from several threads. Raise only the errors named; anything else is logged
    with your plugin's name and becomes an opaque 500. Never put a payload into a message, a log line
    or an exception.
    """

    @abstractmethod
    def store(self, request: StoreRequest) -> Reference:
        """Keep ``request.payload`` durably before returning.

        Each call gives a reference of its own. If something is kept for ``secret_id`` already, an
        earlier attempt was cut off, or is still at it: leave that alone. km destroys it.

        :raises Rejected: it can never be kept (too long, wrong kind).
        :raises Unavailable: not now; km will ask ``find`` later and clean up.
        """

    @abstractmethod
    def retrieve(self, stored: StoredSecret) -> bytes:
        """The payload, byte for byte.

        :raises NotFound: nothing is kept under this reference.
        :raises CannotOpen: something is kept, but it was altered, swapped or rolled back.
        :raises Unavailable: not now.
        """

    @abstractmethod
    def delete(self, stored: StoredSecret) -> None:
        """Destroy what this very reference names beyond recovery; no error if it is gone already.

        :raises Unavailable: not now; km will ask again.
        """

    @abstractmethod
    def find(self, secret_id: str) -> Reference | None:
        """A reference of something kept for ``secret_id``, whichever there is; None if nothing is.

        km asks this after a crash between the store's work and km's own record of it.

        :raises Unavailable: not now.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Something that a store keeps, as the store knows it."""

    secret_id: str
    reference: Reference


class Inventory(ABC):
    """What a secret store may be besides: able to say all that it keeps.

    ``km-manage reconcile`` finds with it what no row refers to any more.
    """

    @abstractmethod
    def kept(self, *, after: Kept | None, limit: int) -> Sequence[Kept]:
        """The next things kept, ``limit`` at the most, in an order that does not change.

        :param after: the last one that was given before; None to begin.
        :raises Unavailable: not now.
        """
