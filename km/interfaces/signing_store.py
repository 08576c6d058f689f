# SPDX-License-Identifier: Apache-2.0
"""A secret store with keys that it never gives out and signs with."""
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from km.interfaces.secret_store import Reference, StoredSecret


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeyRequest:
    """A key pair to make, whose private half shall never leave the store.

    :param key_id: lower-case UUID; label the key with it, so that ``find`` can name it.
    :param project_id: the owner; empty for a key of km's own.
    :param algorithm: ``rsa``, ``ec`` or ``ed25519``.
    :param bit_length: of the modulus; or 256, 384 or 521 for the NIST curves; 256 for Ed25519.
    """

    key_id: str
    project_id: str
    algorithm: str
    bit_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key pair that was made.

    :param public_key: SubjectPublicKeyInfo (RFC 5280), DER.
    """

    reference: Reference
    public_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignRequest:
    """Something to sign.

    :param key: the key: its ``secret_id`` is the ``key_id`` it was made with.
    :param scheme: ``ecdsa-sha256``, ``ecdsa-sha384``, ``ecdsa-sha512``, ``rsa-pkcs1-sha256``,
        ``rsa-pkcs1-sha384``, ``rsa-pkcs1-sha512``, ``rsa-pss-sha256`` (with a salt as long as the
        hash), ``rsa-pss-sha384``, ``rsa-pss-sha512`` or ``ed25519``.
    :param data: all of it, not its hash.
    """

    key: StoredSecret
    scheme: str
    data: bytes = field(repr=False)


class SigningStore(ABC):
    """What a secret store may be besides: able to sign with keys it never gives out.

    ``SecretStore.delete`` destroys such a key and ``find`` finds it, as if it were a secret;
    ``retrieve`` must raise ``NotFound`` or ``CannotOpen`` for it, whatever reference it is given. An
    ``Inventory`` leaves such keys out, for no secret refers to them.
    """

    @abstractmethod
    def generate_signing_key(self, request: SigningKeyRequest) -> SigningKey:
        """Make a key pair, durably.

        :raises NotSupported: this store makes no such keys.
        :raises Unavailable: not now; km will ask ``find`` later and clean up.
        """

    @abstractmethod
    def sign(self, request: SignRequest) -> bytes:
        """A signature: ECDSA as Ecdsa-Sig-Value, DER (RFC 3279, 2.2.3); RSA as RFC 8017 has it;
        Ed25519 as RFC 8032 has it.

        :raises NotFound: there is no such key.
        :raises CannotOpen: there is, but it was altered or swapped.
        :raises NotSupported: the key or the store does not sign by that scheme.
        :raises Unavailable: not now.
        """
