# SPDX-License-Identifier: Apache-2.0
"""A key of a signing store as ``cryptography`` takes private keys, to sign certificates with."""
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from km.interfaces import NotSupported, SigningStore, SignRequest, StoredSecret


class _InAStore:
    """What the three have in common: a key that is elsewhere."""

    def __init__(self, store: SigningStore, key: StoredSecret, public_key: Any):
        self._store, self._key, self._public_key = store, key, public_key

    def public_key(self) -> Any:
        """The public half."""
        return self._public_key

    def _signed(self, scheme: str, data: bytes) -> bytes:
        return self._store.sign(SignRequest(key=self._key, scheme=scheme, data=data))

    def _never(self, *_: Any) -> Any:
        raise NotSupported('The key is in its store, which signs and does nothing else with it.')

    __copy__ = __deepcopy__ = decrypt = exchange = _never
    private_bytes = private_bytes_raw = private_numbers = _never


class _Rsa(_InAStore, rsa.RSAPrivateKey):
    @property
    def key_size(self) -> int:
        return self._public_key.key_size

    def sign(self, data: Any, padding_: Any, algorithm: Any) -> bytes:
        family = 'rsa-pss' if isinstance(padding_, padding.PSS) else 'rsa-pkcs1'
        return self._signed(f'{family}-{algorithm.name}', data)


class _Ec(_InAStore, ec.EllipticCurvePrivateKey):
    @property
    def key_size(self) -> int:
        return self._public_key.key_size

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public_key.curve

    def sign(self, data: Any, signature_algorithm: Any) -> bytes:
        return self._signed(f'ecdsa-{signature_algorithm.algorithm.name}', data)


class _Ed25519(_InAStore, ed25519.Ed25519PrivateKey):
    def sign(self, data: Any) -> bytes:
        return self._signed('ed25519', data)


def signer(store: SigningStore, key: StoredSecret, public_key: bytes) -> Any:
    """A private key for ``cryptography``'s builders of certificates, requests and CRLs.

    :param public_key: SubjectPublicKeyInfo, DER, as the store gave it.
    """
    public = load_der_public_key(public_key)
    if isinstance(public, rsa.RSAPublicKey):
        return _Rsa(store, key, public)
    if isinstance(public, ec.EllipticCurvePublicKey):
        return _Ec(store, key, public)
    return _Ed25519(store, key, public)
