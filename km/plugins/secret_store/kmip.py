# SPDX-License-Identifier: Apache-2.0
"""KMIP: each payload is a managed object of a key server, and km keeps its identifier.

The server is any that speaks the OASIS Key Management Interoperability Protocol, 1.3, 1.4 or 2.0,
over mutual TLS. What becomes of which payload stands in ``kmip_objects``, what is written on it in
``kmip_labels``. Objects stay Pre-Active: they are kept, not used, and one call destroys them.

A reference is the object's identifier. Whatever else it takes to give the payload back comes from the
server with the object, so that what ``find`` says after a crash is as good as what ``store`` said.
"""
import bisect
import logging
from collections.abc import Sequence
from typing import Any

from kmip.core.attributes import UniqueIdentifier
from kmip.core.enums import (
    CryptographicAlgorithm,
    ObjectType,
    Operation,
    ResultReason,
    RevocationReasonCode,
    Tags,
)
from kmip.core.messages import payloads
from kmip.core.objects import RevocationReason, TemplateAttribute

from km.interfaces import (
    CannotOpen,
    Inventory,
    Kept,
    KeyGenerator,
    KeyPair,
    KeyRequest,
    KmError,
    Misconfigured,
    NotFound,
    NotSupported,
    PairRequest,
    Reference,
    Rejected,
    SecretStore,
    StoredSecret,
    StoreRequest,
)
from km.plugins.secret_store import kmip_failures, kmip_labels, kmip_objects
from km.plugins.secret_store.kmip_connection import Answer, Connection, Deadline
from km.plugins.secret_store.kmip_failures import Broken
from km.plugins.secret_store.kmip_labels import Label
from km.plugins.secret_store.kmip_options import OPTIONS, KmipSettings
from km.plugins.secret_store.kmip_pool import Address, Breaker, Pool

LOG = logging.getLogger(__name__)

_AES_BITS, _RSA_BITS = (128, 192, 256), (2048, 3072, 4096)
_LOCATED_AT_ONCE = 500
#: A server that finds out that it has no such object can find others.
_NO_OBJECT = 'km-check'


class Kmip(SecretStore, KeyGenerator, Inventory):
    """A store on a KMIP server, which also makes AES keys and RSA pairs there."""

    options = OPTIONS

    def open(self) -> None:
        self._config = KmipSettings(self.name, self.settings)
        self._config.context()
        #: The identifiers that ``kept`` tells of, in order; None between two inventories.
        self._listed: list[str] | None = None
        self._pool = Pool(
            self._connect, self._config.addresses, name=self.name, size=self.settings.connections,
            timeout=self.settings.timeout_seconds, idle_seconds=self.settings.idle_seconds,
            breaker=Breaker(self.settings.failures_before_pause, self.settings.longest_pause_seconds))
        try:
            self.check()
        except KmError:
            self._pool.close()
            raise

    def check(self) -> str:
        # Not Query, for pykmip stumbles over what it does not know in the answer to it.
        discovered, looked_up = self._pool.ask([
            (Operation.DISCOVER_VERSIONS, payloads.DiscoverVersionsRequestPayload()),
            _attributes_of(_NO_OBJECT)], again=True)
        if looked_up.reason not in kmip_failures.NO_SUCH_OBJECT:
            raise kmip_failures.refusal(looked_up.reason or ResultReason.GENERAL_FAILURE)
        versions = ', '.join(f'{version.major}.{version.minor}'
                             for version in _payload(discovered).protocol_versions)
        return f'asking by KMIP {self.settings.protocol_version}; the server speaks {versions}'

    def close(self) -> None:
        self._pool.close()

    def store(self, request: StoreRequest) -> Reference:
        if len(request.payload) > self.settings.max_payload_bytes:
            raise Rejected('The payload is longer than this store keeps '
                           f'({self.settings.max_payload_bytes} bytes).')
        made = kmip_objects.managed(request)
        label = Label(request.secret_id, request.project_id, made.form)
        registered = self._new(Operation.REGISTER, payloads.RegisterRequestPayload(
            object_type=made.object_type, managed_object=made.value,
            template_attribute=TemplateAttribute(attributes=[
                *self._written(label), *kmip_labels.usage(made.masks)])))
        return {'id': registered.unique_identifier}

    def retrieve(self, stored: StoredSecret) -> bytes:
        identifier = _identifier(stored)
        got, attributes = self._pool.ask([
            (Operation.GET, payloads.GetRequestPayload(unique_identifier=identifier)),
            _attributes_of(identifier)], again=True)
        found = _payload(got)
        label = kmip_labels.read(_payload(attributes).attributes)
        if label is None or found.unique_identifier != identifier or (
                label.secret_id, label.project_id) != (stored.secret_id, stored.project_id):
            LOG.error('Secret store %s: object %s is not that of secret %s; were rows of the metadata '
                      'swapped?', self.name, identifier, stored.secret_id)
            raise CannotOpen('What the KMIP server keeps under this reference is of another secret.')
        return kmip_objects.payload(found.object_type, found.secret, label.form)

    def delete(self, stored: StoredSecret) -> None:
        identifier = _identifier(stored)
        try:
            label = kmip_labels.read(self._done(*_attributes_of(identifier)).attributes)
            if label is None or label.secret_id != stored.secret_id:
                LOG.error('Secret store %s: object %s is not that of secret %s, and stays.',
                          self.name, identifier, stored.secret_id)
                return
            self._destroy(identifier)
        except NotFound:
            pass

    def find(self, secret_id: str) -> Reference | None:
        found = self._located(kmip_labels.of_secret(secret_id, self.settings.object_group), most=1)
        return {'id': found[0]} if found else None

    def generate(self, request: KeyRequest) -> Reference:
        if request.algorithm != 'aes' or request.bit_length not in _AES_BITS:
            raise NotSupported('The KMIP store makes AES keys of 128, 192 and 256 bits.')
        label = Label(request.secret_id, request.project_id, kmip_objects.MADE)
        made = self._generated(Operation.CREATE, payloads.CreateRequestPayload(
            ObjectType.SYMMETRIC_KEY, TemplateAttribute(attributes=[
                *kmip_labels.to_make(CryptographicAlgorithm.AES, request.bit_length),
                *kmip_labels.usage(kmip_objects.ENCRYPTING), *self._written(label)])))
        return {'id': made.unique_identifier}

    def generate_pair(self, request: PairRequest) -> KeyPair:
        if request.algorithm != 'rsa' or request.bit_length not in _RSA_BITS:
            raise NotSupported('The KMIP store makes RSA pairs of 2048, 3072 and 4096 bits.')
        halves = {}
        for half, secret_id, masks in (('private', request.private_id, kmip_objects.SIGNING),
                                       ('public', request.public_id, kmip_objects.VERIFYING)):
            label = Label(secret_id, request.project_id, kmip_objects.MADE)
            halves[f'{half}_key_template_attribute'] = TemplateAttribute(
                attributes=[*self._written(label), *kmip_labels.usage(masks)],
                tag=Tags[f'{half.upper()}_KEY_TEMPLATE_ATTRIBUTE'])
        made = self._generated(Operation.CREATE_KEY_PAIR, payloads.CreateKeyPairRequestPayload(
            common_template_attribute=TemplateAttribute(
                attributes=kmip_labels.to_make(CryptographicAlgorithm.RSA, request.bit_length),
                tag=Tags.COMMON_TEMPLATE_ATTRIBUTE), **halves))
        return KeyPair(private={'id': made.private_key_unique_identifier},
                       public={'id': made.public_key_unique_identifier})

    def kept(self, *, after: Kept | None, limit: int) -> Sequence[Kept]:
        """See ``Inventory``. The server is asked for all identifiers at the beginning, and what they
        name is told in their order: what is stored later is not, what is deleted later is left out."""
        if after is None or self._listed is None:
            self._listed = self._all_identifiers()
        listed = self._listed
        at = bisect.bisect_right(listed, str(after.reference['id'])) if after else 0
        while page := listed[at:at + limit]:
            if kept := self._described(page):
                return kept
            at += limit
        self._listed = None
        return []

    def _connect(self, address: Address, deadline: Deadline) -> Connection:
        try:
            context = self._config.context()
        except Misconfigured as error:
            LOG.error('%s', error.sentence)
            raise Broken(kmip_failures.NO_FILES) from None
        return Connection(address, context, speech=self._config.speech, deadline=deadline,
                          connect_seconds=self.settings.connect_timeout_seconds)

    def _done(self, operation: Operation, payload: Any) -> Any:
        """What the server answers to an operation that does no harm twice.

        :raises NotFound: what it is about is not there.
        :raises Unavailable: it was not done.
        """
        answer, = self._pool.ask([(operation, payload)], again=True)
        return _payload(answer)

    def _new(self, operation: Operation, payload: Any) -> Any:
        """What the server answers to an operation that makes an object each time.

        :raises Rejected: it never does this.
        :raises Unavailable: it did not do it, or did not say that it did.
        """
        answer, = self._pool.ask([(operation, payload)], again=False)
        if answer.reason and answer.reason in kmip_failures.NEVER:
            raise Rejected(f'The KMIP server does not take this ({answer.reason.name}).')
        return _payload(answer)

    def _generated(self, operation: Operation, payload: Any) -> Any:
        try:
            return self._new(operation, payload)
        except Rejected as rejected:
            raise NotSupported(rejected.sentence) from None

    def _destroy(self, identifier: str) -> None:
        destroy = Operation.DESTROY, payloads.DestroyRequestPayload(UniqueIdentifier(identifier))
        answer, = self._pool.ask([destroy], again=True)
        if answer.reason in kmip_failures.ACTIVE:
            # Somebody, or a rule of the server's, activated it: then it has to be revoked first.
            _, answer = self._pool.ask([
                (Operation.REVOKE, payloads.RevokeRequestPayload(
                    UniqueIdentifier(identifier),
                    RevocationReason(RevocationReasonCode.CESSATION_OF_OPERATION))),
                destroy], again=True)
        _payload(answer)

    def _written(self, label: Label) -> list[Any]:
        return kmip_labels.written(label, self.settings.object_group)

    def _located(self, attributes: list[Any], *, most: int, skip: int = 0) -> list[str]:
        return self._done(Operation.LOCATE, payloads.LocateRequestPayload(
            maximum_items=most, offset_items=skip or None, attributes=attributes)).unique_identifiers

    def _all_identifiers(self) -> list[str]:
        found: set[str] = set()
        group, skip = kmip_labels.of_group(self.settings.object_group), 0
        # A page of nothing new comes from a server that does not know how to skip.
        while not found.issuperset(page := self._located(group, most=_LOCATED_AT_ONCE, skip=skip)):
            found.update(page)
            skip += len(page)
        return sorted(found)

    def _described(self, identifiers: Sequence[str]) -> list[Kept]:
        """Those of these objects that are still there and are km's."""
        answers = self._pool.ask([_attributes_of(identifier) for identifier in identifiers], again=True)
        kept = []
        for identifier, answer in zip(identifiers, answers, strict=True):
            label = kmip_labels.read(answer.payload.attributes) if answer.payload else None
            if label:
                kept.append(Kept(secret_id=label.secret_id, reference={'id': identifier}))
        return kept


def _identifier(stored: StoredSecret) -> str:
    identifier = stored.reference.get('id')
    if not isinstance(identifier, str):
        raise NotFound('The reference is of another store.')
    return identifier


def _attributes_of(identifier: str) -> tuple[Operation, Any]:
    return Operation.GET_ATTRIBUTES, payloads.GetAttributesRequestPayload(
        identifier, kmip_labels.TO_READ)


def _payload(answer: Answer) -> Any:
    if answer.reason is not None:
        raise kmip_failures.refusal(answer.reason) from None
    return answer.payload
