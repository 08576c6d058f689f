# SPDX-License-Identifier: Apache-2.0
"""A store in memory with every ability there is, for the tests of what makes use of them."""
import itertools
import os

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from km.interfaces import (
    CannotOpen,
    KeyGenerator,
    KeyPair,
    KeyRequest,
    MasterKeyRotation,
    NotFound,
    NotSupported,
    PairRequest,
    ProjectKeyRotation,
    Reference,
    SigningKey,
    SigningKeyRequest,
    SigningStore,
    SignRequest,
    StoredSecret,
    StoreRequest,
)
from km.plugins.secret_store.schemes import new_private_key, sign
from km.testing.plugins import MemoryStore


class MemoryKeyStore(MemoryStore, KeyGenerator, SigningStore, MasterKeyRotation, ProjectKeyRotation):
    """A store that makes keys, signs and rotates, and forgets everything at its end.

    Nothing is sealed, but it is noted which key would seal what: what is sealed by a key that was
    destroyed does not open.
    """

    def open(self) -> None:
        super().open()
        self._signing_keys: dict[tuple[str, int], PrivateKeyTypes] = {}
        self._masters = itertools.count(1)
        self._master = next(self._masters)
        #: The master key that seals each key of a project: by project and number, oldest first.
        self._project_keys: dict[tuple[str, int], int] = {}
        self._sealed_by: dict[tuple[str, int], int] = {}

    def store(self, request: StoreRequest) -> Reference:
        reference = super().store(request)
        newest = self._newest(request.project_id) or self._make(request.project_id)
        self._sealed_by[request.secret_id, int(reference['attempt'])] = newest
        return reference

    def retrieve(self, stored: StoredSecret) -> bytes:
        if 'attempt' not in stored.reference:
            raise NotFound('Nothing is kept under this reference.')
        payload = super().retrieve(stored)
        if (stored.project_id, self._sealed_by[_place(stored)]) not in self._project_keys:
            raise CannotOpen('The key that seals it is destroyed.')
        return payload

    def delete(self, stored: StoredSecret) -> None:
        if 'signing_key' in stored.reference:
            self._signing_keys.pop((stored.secret_id, int(stored.reference['signing_key'])), None)
        else:
            super().delete(stored)

    def find(self, secret_id: str) -> Reference | None:
        return super().find(secret_id) or next(
            ({'signing_key': number} for kept, number in self._signing_keys if kept == secret_id), None)

    def generate(self, request: KeyRequest) -> Reference:
        if request.algorithm != 'aes' and not request.algorithm.startswith('hmac'):
            raise NotSupported('This store makes no such keys.')
        return self.store(StoreRequest(
            secret_id=request.secret_id, project_id=request.project_id,
            payload=os.urandom(request.bit_length // 8)))

    def generate_pair(self, request: PairRequest) -> KeyPair:
        private = new_private_key(request.algorithm, request.bit_length)
        public = private.public_key()
        return KeyPair(
            private=self.store(StoreRequest(
                secret_id=request.private_id, project_id=request.project_id,
                payload=private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))),
            public=self.store(StoreRequest(
                secret_id=request.public_id, project_id=request.project_id,
                payload=public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))))

    def generate_signing_key(self, request: SigningKeyRequest) -> SigningKey:
        private, number = new_private_key(request.algorithm, request.bit_length), next(self._numbers)
        self._signing_keys[request.key_id, number] = private
        return SigningKey(
            reference={'signing_key': number}, public_key=private.public_key().public_bytes(
                Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    def sign(self, request: SignRequest) -> bytes:
        try:
            private = self._signing_keys[
                request.key.secret_id, int(request.key.reference['signing_key'])]
        except KeyError:
            raise NotFound('There is no such key.') from None
        return sign(private, request.scheme, request.data)

    def new_master_key(self) -> str:
        self._master = next(self._masters)
        return str(self._master)

    def to_rewrap(self) -> int:
        return sum(master != self._master for master in self._project_keys.values())

    def rewrap(self, *, limit: int) -> int:
        found = [key for key, master in self._project_keys.items() if master != self._master][:limit]
        self._project_keys.update(dict.fromkeys(found, self._master))
        return len(found)

    def new_project_key(self, project_id: str) -> None:
        if self._newest(project_id):
            self._make(project_id)

    def rekey(self, stored: StoredSecret) -> bool:
        place, newest = _place(stored), self._newest(stored.project_id)
        if place not in self._attempts or self._sealed_by[place] == newest:
            return False
        self.retrieve(stored)
        self._sealed_by[place] = newest
        return True

    def destroy_project_keys(self, project_id: str, *, newest: bool) -> int:
        kept = 0 if newest else self._newest(project_id)
        destroyed = [key for key in self._project_keys if key[0] == project_id and key[1] != kept]
        for key in destroyed:
            del self._project_keys[key]
        return len(destroyed)

    def _newest(self, project_id: str) -> int:
        """The number of a project's newest key, 0 if it has none."""
        return max((number for owner, number in self._project_keys if owner == project_id), default=0)

    def _make(self, project_id: str) -> int:
        number = next(self._numbers) + 1
        self._project_keys[project_id, number] = self._master
        return number


def _place(stored: StoredSecret) -> tuple[str, int]:
    return stored.secret_id, int(stored.reference['attempt'])
