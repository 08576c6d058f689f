# SPDX-License-Identifier: Apache-2.0
"""A secret store as the house has it."""
import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from km.errors import KmError
from km.hosting.guest import Guest, is_reference, is_text
from km.interfaces import (
    Kept,
    KeyPair,
    KeyStore,
    Reference,
    SigningKey,
    SigningStore,
    StoredSecret,
    StoreRequest,
)

LOG = logging.getLogger(__name__)


def _are_kept(answer: Any) -> bool:
    return isinstance(answer, list | tuple) and all(
        isinstance(kept, Kept) and is_reference(kept.reference) for kept in answer)


#: What a call leaves in a store, for which it gives references: ids and where they are.
_LEAVES: dict[str, Callable[[Any, Any], dict[str, Reference]]] = {
    'store': lambda request, reference: {request.secret_id: reference},
    'generate': lambda request, reference: {request.secret_id: reference},
    'generate_pair': lambda request, pair: {
        request.private_id: pair.private, request.public_id: pair.public},
    'generate_signing_key': lambda request, key: {request.key_id: key.reference},
}


class HostedStore(Guest):
    """A secret store of the operator's. Its methods do what ``SecretStore`` says; see ``Guest``."""

    what = 'secret store'
    leaves = _LEAVES
    looks_right: ClassVar[Mapping[str, Callable[[Any], bool]]] = {
        'check': is_text,
        'store': is_reference,
        'retrieve': lambda answer: isinstance(answer, bytes),
        'find': lambda answer: answer is None or is_reference(answer),
        'kept': _are_kept,
        'generate': is_reference,
        'generate_pair': lambda answer: isinstance(answer, KeyPair) and is_reference(
            answer.private) and is_reference(answer.public),
        'generate_signing_key': lambda answer: isinstance(answer, SigningKey) and is_reference(
            answer.reference),
        'sign': lambda answer: isinstance(answer, bytes),
        'to_rewrap': lambda answer: isinstance(answer, int),
        'rewrap': lambda answer: isinstance(answer, int),
    }

    def store(self, request: StoreRequest) -> Reference:
        """Keep a payload."""
        return self._call('store', request)

    def retrieve(self, stored: StoredSecret) -> bytes:
        """A payload, byte for byte."""
        return self._call('retrieve', stored)

    def delete(self, stored: StoredSecret) -> None:
        """Destroy a payload."""
        self._call('delete', stored)

    def find(self, secret_id: str) -> Reference | None:
        """A reference of something kept for an id."""
        return self._call('find', secret_id)

    def key_store(self) -> KeyStore | None:
        """The store as certificate authorities are given it; None if it does not sign."""
        if not isinstance(self.guest, SigningStore):
            return None
        return self.only('generate_signing_key', 'sign', 'find', 'delete')

    def _undo(self, method: str, request: Any, answer: Any) -> None:
        """Destroy what was kept after its deadline: nobody was told where it is."""
        for secret_id, reference in _LEAVES[method](request, answer).items():
            LOG.warning('%s kept %s after the deadline; it is destroyed.', self._told, secret_id)
            try:
                self._made('delete', StoredSecret(
                    secret_id=secret_id, project_id=request.project_id, reference=reference))
            except KmError as error:
                LOG.error('%s still keeps %s: %s', self._told, secret_id, error.sentence)
