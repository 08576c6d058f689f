# SPDX-License-Identifier: Apache-2.0
"""Keys that sign, in software: sealed as payloads are, but in a table and under a binding of their own.

So no reference opens such a key as a payload, nor a payload as a key, even if somebody moves rows from
one table to the other. A private key is in this process's memory while it signs, and at no other time.

The inventory leaves them out: ``km-manage reconcile`` destroys what no secret's row refers to, and the
rows that refer to these keys are not those of secrets. ``find`` finds them for whoever was cut off.
"""
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from km.interfaces import (
    NotFound,
    Reference,
    SigningKey,
    SigningKeyRequest,
    SigningStore,
    SignRequest,
    StoredSecret,
)
from km.plugins.secret_store import ciphertexts
from km.plugins.secret_store.envelope import Blob, EnvelopeStore, new_version
from km.plugins.secret_store.schemes import new_private_key, sign

_KIND = 'signing-key'


class SoftwareSigning(EnvelopeStore, SigningStore):
    """An envelope store that signs: RSA of 2048 to 4096 bits, ECDSA on the NIST curves, Ed25519."""

    def generate_signing_key(self, request: SigningKeyRequest) -> SigningKey:
        private = new_private_key(request.algorithm, request.bit_length)
        version = self._keep(
            _blob(request.project_id, request.key_id, new_version()),
            private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
        return SigningKey(
            reference={'signing_key': version}, public_key=private.public_key().public_bytes(
                Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    def sign(self, request: SignRequest) -> bytes:
        if 'signing_key' not in request.key.reference:
            raise NotFound('The reference is not that of a signing key.')
        private = load_der_private_key(
            self._open(_stored(request.key)), None, unsafe_skip_rsa_key_validation=True)
        return sign(private, request.scheme, request.data)

    def delete(self, stored: StoredSecret) -> None:
        if 'signing_key' in stored.reference:
            self._destroy(_stored(stored))
        else:
            super().delete(stored)

    def find(self, secret_id: str) -> Reference | None:
        found = super().find(secret_id)
        if found is not None:
            return found
        row = self._database.one(ciphertexts.SIGNING.find, secret_id=secret_id)
        return None if row is None else {'signing_key': row.version}

    def rekey(self, stored: StoredSecret) -> bool:
        if 'signing_key' in stored.reference:
            return self._rekey(_stored(stored))
        return super().rekey(stored)

    def destroy_project_keys(self, project_id: str, *, newest: bool) -> int:
        if newest:
            return super().destroy_project_keys(project_id, newest=True)
        # Nobody here knows whose keys that sign are: what seals one stays, until that is rekeyed.
        used = self._database.all(ciphertexts.SIGNING_GENERATIONS)
        return self._keys.destroy(project_id, newest=False, kept=[
            int.from_bytes(row.generation, 'big') for row in used])


def _blob(project_id: str, key_id: str, version: int) -> Blob:
    return Blob(ciphertexts.SIGNING, project_id, key_id, version, (_KIND,))


def _stored(key: StoredSecret) -> Blob:
    version = key.reference['signing_key']
    if not isinstance(version, int):
        raise NotFound('The reference is of another store.')
    return _blob(key.project_id, key.secret_id, version)
