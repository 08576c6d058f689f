# SPDX-License-Identifier: Apache-2.0
"""What a call of each secret store costs, against the same done with the bare cipher, token or server.

The bare thing is the least that does it, as somebody would write it who needs nothing else of a store.
Both are done in turn, round after round, so that whatever slows the machine down slows both.
"""
import contextlib
import hashlib
import os
import sqlite3
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from kmip.core.enums import KMIPVersion, OpaqueDataType
from kmip.pie.client import ProxyKmipClient
from kmip.pie.objects import OpaqueObject
from pkcs11 import Attribute, GCMParams, Mechanism, ObjectClass

from km.hosting.store import HostedStore
from km.interfaces import SecretStore, SigningKeyRequest, SignRequest, StoredSecret, StoreRequest
from km.plugins.secret_store import key_file
from km.plugins.secret_store.kmip import Kmip
from km.plugins.secret_store.pkcs11 import Pkcs11
from km.plugins.secret_store.simple_crypto import SimpleCrypto
from km.testing import open_plugin
from tests.functional.kmip_server import kmip
from tests.functional.pkcs11_stores import new_master_key
from tests.functional.servers import HOST
from tests.functional.softhsm import softhsm

_PAYLOAD = os.urandom(32)
_PROJECT = uuid.uuid4().hex
#: A round of a pair takes about so long.
_ROUND_SECONDS = 0.5


class Pair(NamedTuple):
    """Something a store does, and the bare thing; each does it once."""

    name: str
    store: Callable[[], Any]
    bare: Callable[[], Any]


def compared(folder: Path, *, rounds: int) -> str:
    """A table, a line a pair.

    :param folder: where stores may keep what they need.
    """
    lines = [f'{"":34}{"a second":>9}{"bare":>9}   ratio (min-max)']
    for pairs in (_simple_crypto, _pkcs11, _kmip):
        with pairs(folder) as found:
            lines += [_line(pair, rounds) for pair in found]
    return '\n'.join(lines)


def _line(pair: Pair, rounds: int) -> str:
    times = max(1, int(_ROUND_SECONDS / _seconds(pair.store, 3)))
    bare_times = max(1, int(_ROUND_SECONDS / _seconds(pair.bare, 3)))
    found = [(_seconds(pair.store, times), _seconds(pair.bare, bare_times)) for _ in range(rounds)]
    ours, bare = (statistics.median(seconds) for seconds in zip(*found, strict=True))
    ratios = [theirs / own for own, theirs in found]
    return (f'{pair.name:34}{1 / ours:9.0f}{1 / bare:9.0f}   {statistics.median(ratios):.2f} '
            f'({min(ratios):.2f}-{max(ratios):.2f})')


def _seconds(work: Callable[[], Any], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times


@contextlib.contextmanager
def _simple_crypto(folder: Path) -> Iterator[Sequence[Pair]]:
    """Against AES-256-GCM and a durable row of SQLite."""
    key_file.create(str(folder / 'kek'))
    store = open_plugin(SimpleCrypto, kek_file=[str(folder / 'kek')],
                        connection=f'sqlite:///{folder}/soft.sqlite')
    with contextlib.closing(store), contextlib.closing(_Rows(folder / 'rows.sqlite')) as rows:
        yield _kept(store, 'simple_crypto', rows.store, rows.retrieve)


@contextlib.contextmanager
def _pkcs11(folder: Path) -> Iterator[Sequence[Pair]]:
    """Payloads against the same as Simple Crypto's; project keys and signatures against the token."""
    with softhsm(folder) as token:
        new_master_key(token.settings)
        store = open_plugin(Pkcs11, connection=f'sqlite:///{folder}/hsm.sqlite', **token.settings)
        with contextlib.closing(store), contextlib.closing(_Rows(folder / 'more.sqlite')) as rows:
            yield [*_kept(store, 'pkcs11', rows.store, rows.retrieve), *_in_token(store)]


def _in_token(store: Pkcs11) -> Iterator[Pair]:
    """What the token is asked for: against the same calls of python-pkcs11, in one session."""
    key, nonce = store._token.run(lambda lease: store._masters.newest(lease).aes), os.urandom(12)
    gcm = {'mechanism': Mechanism.AES_GCM, 'mechanism_param': GCMParams(nonce, b'context', 128)}
    wrapped, sealed = store.wrap(_PAYLOAD, b'context'), key.encrypt(_PAYLOAD, **gcm)
    yield Pair('pkcs11: seal a project key', lambda: store.wrap(_PAYLOAD, b'context'),
               lambda: key.encrypt(_PAYLOAD, **gcm))
    yield Pair('pkcs11: open a project key', lambda: store.unwrap(wrapped, b'context'),
               lambda: key.decrypt(sealed, **gcm))
    key_id = str(uuid.uuid4())
    made = store.generate_signing_key(SigningKeyRequest(
        key_id=key_id, project_id=_PROJECT, algorithm='ec', bit_length=256))
    request = SignRequest(scheme='ecdsa-sha256', data=_PAYLOAD, key=StoredSecret(
        secret_id=key_id, project_id=_PROJECT, reference=made.reference))
    private = store._token.run(lambda lease: next(iter(lease.session.get_objects(
        {Attribute.CLASS: ObjectClass.PRIVATE_KEY}))))
    yield Pair('pkcs11: sign by ECDSA P-256', lambda: store.sign(request),
               lambda: private.sign(hashlib.sha256(_PAYLOAD).digest(), mechanism=Mechanism.ECDSA))


@contextlib.contextmanager
def _kmip(folder: Path) -> Iterator[Sequence[Pair]]:
    """Against pykmip's own client, over a connection that it keeps."""
    with kmip(folder) as server:
        options = server.options()
        client = ProxyKmipClient(
            hostname=HOST, port=str(server.port), cert=options['certificate_file'],
            key=options['key_file'], ca=options['ca_file'], config='none',
            kmip_version=KMIPVersion.KMIP_1_4)
        with client, contextlib.closing(open_plugin(Kmip, **options)) as store:
            def keep() -> str:
                return client.register(OpaqueObject(_PAYLOAD, OpaqueDataType.NONE))

            identifier = keep()
            yield _kept(store, 'kmip', keep, lambda: client.get(identifier))


def _kept(store: SecretStore, name: str, keep: Callable[[], Any], get: Callable[[], Any]) -> list[Pair]:
    """A payload of 32 bytes into a store and out of it, with the deadlines that km has for its calls."""
    hosted = HostedStore(store)
    hosted._opening.is_open = True  # it was opened by itself

    def store_one() -> StoredSecret:
        secret_id = str(uuid.uuid4())
        return StoredSecret(secret_id=secret_id, project_id=_PROJECT, reference=hosted.store(
            StoreRequest(secret_id=secret_id, project_id=_PROJECT, payload=_PAYLOAD)))

    stored = store_one()
    return [Pair(f'{name}: store', store_one, keep),
            Pair(f'{name}: retrieve', lambda: hosted.retrieve(stored), get)]


class _Rows:
    """One cipher and one table: AES-256-GCM with a key in memory, rows of SQLite as durable as km's."""

    def __init__(self, path: Path):
        self._cipher = AESGCM(os.urandom(32))
        self._rows = sqlite3.connect(path, isolation_level=None)
        self._rows.execute('PRAGMA journal_mode=WAL')
        self._rows.execute('PRAGMA synchronous=FULL')
        self._rows.execute('CREATE TABLE rows (id TEXT PRIMARY KEY, sealed BLOB) WITHOUT ROWID')
        self._id = self.store()

    def store(self) -> str:
        row, nonce = str(uuid.uuid4()), os.urandom(12)
        self._rows.execute('INSERT INTO rows VALUES (?, ?)', (
            row, nonce + self._cipher.encrypt(nonce, _PAYLOAD, row.encode())))
        return row

    def retrieve(self) -> bytes:
        sealed, = self._rows.execute('SELECT sealed FROM rows WHERE id = ?', (self._id,)).fetchone()
        return self._cipher.decrypt(sealed[:12], sealed[12:], self._id.encode())

    def close(self) -> None:
        self._rows.close()
