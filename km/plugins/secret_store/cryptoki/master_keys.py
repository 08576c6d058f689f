# SPDX-License-Identifier: Apache-2.0
"""Master keys: AES-256 objects on a token that never leave it.

All master keys of a store have one CKA_LABEL. Their CKA_ID tells them apart and says which is the
newest: km makes it of a counter of 4 bytes and 4 random ones, and the greatest is the newest, in every
process. A key's *name*, kept beside all it seals, is its CKA_ID and its check value, the first 3 bytes
of the AES-ECB encryption of a block of zeros (CKA_CHECK_VALUE, PKCS#11 v2.40, 4.10.2): so a token of
another partition, or one that was left behind by its cluster, is found out before it seals or opens
anything.
"""
import logging
import os
import re
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11 import exceptions as ck

from km.interfaces import Misconfigured
from km.plugins.secret_store.cryptoki.failures import Failed, Gone, Kind, WrongAnswer
from km.plugins.secret_store.cryptoki.sessions import Lease
from km.plugins.secret_store.cryptoki.suites import SUITES, Objects, Suite, works

LOG = logging.getLogger(__name__)

_ID = struct.Struct('>I4s')
_MOST_ID_BYTES = 24
_CHECK_BYTES = 3
_NAME = re.compile(r'(?P<id>(?:[0-9a-f]{2}){1,24})-(?P<check>[0-9a-f]{6}|none)\Z')
_NEVER_OTHERWISE = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True}
_USAGES = (Attribute.DECRYPT, Attribute.WRAP, Attribute.UNWRAP)


class NoMasterKey(Exception):
    """There is none on the token, or not the one that was asked for."""


@dataclass(frozen=True, slots=True)
class Described:
    """A master key, for its operator.

    :param local: whether the token says that it made it.
    :param attributes: the names of the CKA_ attributes that are true.
    """

    name: str
    suite: str
    attributes: Sequence[str]


class MasterKeys:
    """The master keys with one label. Every method wants a session, of a block of ``Token.run``."""

    def __init__(self, label: str, wrap_suites: Sequence[str]):
        """:param label: their CKA_LABEL.
        :param wrap_suites: names of the suites that may seal, the best first.
        """
        self.label = label
        self._allowed = [(name, SUITES[name]) for name in wrap_suites]
        self._lock = threading.Lock()
        #: CKA_ID -> name, of those that were seen; and by name, the suite that works with each.
        self._names: dict[bytes, str] = {}
        self._suites: dict[str, str] = {}

    def newest(self, lease: Lease) -> Objects:
        """The one that seals, looked up anew, so that no process goes on with the one before.

        :raises NoMasterKey: there is none.
        """
        found = self._found(lease)
        if not found:
            self.known_answer(lease)
            raise NoMasterKey
        return self._objects(lease, max(found), found[max(found)])

    def named(self, lease: Lease, name: str) -> Objects:
        """The one with a name.

        :raises NoMasterKey: it is not there.
        """
        told = _NAME.match(name)
        if told is None:
            raise NoMasterKey
        key_id = bytes.fromhex(told['id'])
        if key_id not in lease.objects:
            found = self._found(lease)
            if key_id not in found:
                self.known_answer(lease)  # a token that is lost has no keys either
                raise NoMasterKey
            self._objects(lease, key_id, found[key_id])
        objects = lease.objects[key_id]
        if objects.name != name:
            raise NoMasterKey
        return objects

    def names(self, lease: Lease) -> list[str]:
        """All that are there, the newest first."""
        return [self._objects(lease, key_id, aes).name
                for key_id, aes in sorted(self._found(lease).items(), reverse=True)]

    def suite(self, objects: Objects) -> Suite:
        """The first allowed suite that works with a master key.

        :raises Misconfigured: none does.
        """
        with self._lock:
            name = self._suites.get(objects.name) or next(
                (name for name, suite in self._allowed if works(suite, objects)), None)
            if name is None:
                raise Misconfigured('wrap_suites: the token seals by none of them with its newest '
                                    f'master key {objects.name}.')
            self._suites[objects.name] = name
        return SUITES[name]

    def known_answer(self, lease: Lease) -> None:
        """:raises Gone, WrongAnswer: a master key that was there is not, or is another."""
        if not self._names:
            return
        lease.objects.clear()
        known = max(self._names)
        aes = self._found(lease).get(known)
        if aes is None:
            raise Gone
        self._objects(lease, known, aes)

    def make(self, lease: Lease) -> str:
        """Make a master key that is newer than all that are there; its name.

        :param lease: of ``Token.run_alone``.
        :raises Failed: the token does not make one that any allowed suite works with.
        """
        newest = max(self._found(lease), default=b'')
        counter = int.from_bytes(newest[:4]) if len(newest) == _ID.size else 0
        key_id = _ID.pack(counter + 1, os.urandom(4))
        if key_id <= newest:
            raise Misconfigured('master_key_label: the newest master key has a CKA_ID that was not made '
                                'by km, and none of km can be greater.')
        for _, suite in self._allowed:
            if works(suite, self._generated(lease, suite, b'', {Attribute.TOKEN: False})):
                made = self._generated(lease, suite, key_id, {Attribute.TOKEN: True, **_NEVER_OTHERWISE})
                return self._objects(lease, key_id, made.aes).name
        raise Failed(Kind.CALLER, 'no suite of wrap_suites')

    def describe(self, lease: Lease) -> list[Described]:
        """All that are there, the newest first."""
        described = []
        for name in self.names(lease):
            objects = self.named(lease, name)
            suite = next((named for named, suite in self._allowed if works(suite, objects)), 'none')
            told = [attribute.name for attribute in _TOLD if _read(objects.aes, attribute)]
            described.append(Described(name, suite, told))
        return described

    def _generated(self, lease: Lease, suite: Suite, key_id: bytes, more: dict) -> Objects:
        session = lease.session
        usage = {attribute: attribute in suite.usage for attribute in _USAGES}
        try:
            aes = session.generate_key(
                KeyType.AES, 256, capabilities=0, template={
                    Attribute.LABEL: self.label, Attribute.ID: key_id, Attribute.SENSITIVE: True,
                    Attribute.EXTRACTABLE: False, Attribute.ENCRYPT: True, Attribute.SIGN: False,
                    Attribute.VERIFY: False, **usage, **more})
            mac = session.generate_key(
                KeyType.GENERIC_SECRET, 256, capabilities=0, mechanism=Mechanism.GENERIC_SECRET_KEY_GEN,
                template={Attribute.LABEL: self.label, Attribute.ID: key_id, Attribute.SENSITIVE: True,
                          Attribute.EXTRACTABLE: False, Attribute.SIGN: True, Attribute.VERIFY: True,
                          **more}) if suite.needs_mac else None
        except ck.PKCS11Error as error:
            if more[Attribute.TOKEN]:
                raise
            LOG.warning('The token makes no key for suite %s: %s.', suite.number, type(error).__name__)
            return Objects(session, 'none', None)
        return Objects(session, 'new', aes, mac)

    def _found(self, lease: Lease) -> dict[bytes, Any]:
        """The AES keys with our label, by CKA_ID."""
        found: dict[bytes, Any] = {}
        for aes in self._search(lease, KeyType.AES):
            key_id = aes[Attribute.ID]
            if not 0 < len(key_id) <= _MOST_ID_BYTES:
                raise Misconfigured(f"master_key_label: a key '{self.label}' of the token has a CKA_ID "
                                    f'of no bytes, or of more than {_MOST_ID_BYTES}.')
            if key_id in found:
                raise Misconfigured(f"master_key_label: two keys '{self.label}' of the token have the "
                                    f'CKA_ID {key_id.hex()}; remove the one that is no master key.')
            found[key_id] = aes
        return found

    def _search(self, lease: Lease, key_type: KeyType) -> list[Any]:
        # A search that is not read to its end keeps the session's lock; hence no get_key() either.
        return list(lease.session.get_objects({
            Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: key_type,
            Attribute.TOKEN: True, Attribute.LABEL: self.label}))

    def _objects(self, lease: Lease, key_id: bytes, aes: Any) -> Objects:
        """A master key in a session, when it is seen there first looked at closely."""
        if key_id not in lease.objects:
            name = f'{key_id.hex()}-{_check_value(aes)}'
            if self._names.get(key_id, name) != name:
                raise WrongAnswer
            if key_id not in self._names:
                self._require_safe(aes, name)
            macs = [mac for mac in self._search(lease, KeyType.GENERIC_SECRET)
                    if mac[Attribute.ID] == key_id]
            mac = macs[0] if len(macs) == 1 else None
            lease.objects[key_id] = Objects(lease.session, name, aes, mac)
            self._names[key_id] = name
        return lease.objects[key_id]

    def _require_safe(self, aes: Any, name: str) -> None:
        for attribute, value in _NEVER_OTHERWISE.items():
            if _read(aes, attribute) is not value:
                raise Misconfigured(
                    f'master_key_label: master key {name} has CKA_{attribute.name} '
                    f'{str(not value).lower()}; km uses none that could leave its token.')
        for attribute in (Attribute.ALWAYS_SENSITIVE, Attribute.NEVER_EXTRACTABLE):
            if not _read(aes, attribute):
                LOG.warning('Master key %s has no CKA_%s: it may have been outside its token.',
                            name, attribute.name)


_TOLD = (Attribute.SENSITIVE, Attribute.ALWAYS_SENSITIVE, Attribute.EXTRACTABLE,
         Attribute.NEVER_EXTRACTABLE, Attribute.PRIVATE, Attribute.LOCAL, Attribute.MODIFIABLE,
         Attribute.ENCRYPT, *_USAGES)


def _read(key: Any, attribute: Attribute) -> Any:
    """An attribute; None if the token does not tell it."""
    try:
        return key[attribute]
    except (ck.AttributeTypeInvalid, ck.AttributeSensitive, ck.AttributeValueInvalid):
        return None


def _check_value(aes: Any) -> str:
    try:
        return aes.encrypt(bytes(16), mechanism=Mechanism.AES_ECB)[:_CHECK_BYTES].hex()
    except (ck.MechanismInvalid, ck.KeyTypeInconsistent, ck.FunctionNotSupported, ck.FunctionRejected):
        told = _read(aes, Attribute.CHECK_VALUE)
        return told.hex() if told else 'none'
