# SPDX-License-Identifier: Apache-2.0
"""A secret store that makes keys where it keeps them."""
from abc import ABC, abstractmethod
from dataclasses import dataclass

from km.interfaces.secret_store import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """A symmetric key to make and to keep.

    :param secret_id: lower-case UUID; label the key with it, so that ``find`` can name it.
    :param project_id: the owner.
    :param algorithm: lower case: ``aes``, ``hmacsha256`` and its like, ``3des``.
    :param bit_length: of the key.
    """

    secret_id: str
    project_id: str
    algorithm: str
    bit_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRequest:
    """A key pair to make and to keep, each half as a secret of its own.

    :param private_id: lower-case UUID of the private half; label it with it.
    :param public_id: likewise of the public half.
    :param project_id: the owner.
    :param algorithm: lower case: ``rsa``, ``ec``, ``ed25519``.
    :param bit_length: of the modulus or the curve.
    """

    private_id: str
    public_id: str
    project_id: str
    algorithm: str
    bit_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """Where the halves of a pair are kept."""

    private: Reference
    public: Reference


class KeyGenerator(ABC):
    """What a secret store may be besides: able to make keys where it keeps them.

    Of a store that is none, or does not make keys of some kind, km makes the key and has it stored.
    What was made is retrieved, found and deleted as any secret is.
    """

    @abstractmethod
    def generate(self, request: KeyRequest) -> Reference:
        """Make a symmetric key. ``retrieve`` gives its bytes.

        :raises NotSupported: this store makes no such keys.
        :raises Unavailable: not now; km will ask ``find`` later and clean up.
        """

    @abstractmethod
    def generate_pair(self, request: PairRequest) -> KeyPair:
        """Make a key pair. ``retrieve`` gives PKCS#8 (RFC 5958) of the private half, unencrypted, and
        SubjectPublicKeyInfo (RFC 5280) of the public one, both as PEM (RFC 7468).

        :raises NotSupported: this store makes no such pairs.
        :raises Unavailable: not now; km will ask ``find`` for both later and clean up.
        """
