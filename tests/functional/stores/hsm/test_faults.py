# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with tokens: the right error in bounded time, and back without a restart."""
import contextlib
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from pkcs11 import PKCS11Error

from km.interfaces import (
    CannotOpen,
    NotFound,
    SigningKeyRequest,
    SignRequest,
    StoredSecret,
    StoreRequest,
    Unavailable,
)
from km.plugins.secret_store.cryptoki.library import Library
from km.plugins.secret_store.pkcs11 import Pkcs11
from km.testing import open_plugin
from tests.functional.p11_kit_server import remote
from tests.functional.pkcs11_stores import (
    SOON,
    OpenedLater,
    WithoutMasterKey,
    asks,
    back,
    new_master_key,
    pkcs11_store,
)


def put(store, payload=b'a payload', project='alpha'):
    secret_id = str(uuid.uuid4())
    return StoredSecret(secret_id=secret_id, project_id=project, reference=store.store(
        StoreRequest(secret_id=secret_id, project_id=project, payload=payload)))



def test_a_token_whose_folder_is_gone_answers_503_and_is_back_with_it(store, token):
    stored = put(store)
    (token.folder / 'tokens').rename(token.folder / 'away')
    began = time.monotonic()
    for _ in range(3):
        with pytest.raises(Unavailable):
            asks(store)
    assert time.monotonic() - began < SOON
    (token.folder / 'away').rename(token.folder / 'tokens')
    back(store)
    store._keys.clear()
    assert store.retrieve(stored) == b'a payload'


def test_a_token_that_is_away_is_not_said_to_have_no_such_key(store, token, folder):
    old = store.wrap(bytes(32), b'context')
    key = store.generate_signing_key(SigningKeyRequest(
        key_id=str(uuid.uuid4()), project_id='alpha', algorithm='ec', bit_length=256))
    new_master_key(token.settings)
    (folder / 'other').mkdir()
    other = pkcs11_store(token.settings, folder / 'other')  # has seen nothing but the new key
    (token.folder / 'tokens').rename(token.folder / 'away')
    signing = SignRequest(key=StoredSecret(secret_id=str(uuid.uuid4()), project_id='alpha',
                                           reference=key.reference), scheme='ecdsa-sha256', data=b'')
    for ask in (lambda: other.find(str(uuid.uuid4())), lambda: other.sign(signing),
                lambda: other.unwrap(old, b'context')):
        with pytest.raises(Unavailable):
            ask()
    (token.folder / 'away').rename(token.folder / 'tokens')
    back(other)
    assert other.find(str(uuid.uuid4())) is None
    with pytest.raises(NotFound):
        other.sign(signing)
    assert other.unwrap(old, b'context') == bytes(32)
    other.close()


def test_while_it_is_away_nobody_hammers_on_it(store, token, monkeypatch):
    initialised = []
    monkeypatch.setattr(Library, 'initialise', lambda _: initialised.append(1))
    (token.folder / 'tokens').rename(token.folder / 'away')
    ended = time.monotonic() + 1.2
    while time.monotonic() < ended:
        with pytest.raises(Unavailable):
            asks(store)
    monkeypatch.undo()
    (token.folder / 'away').rename(token.folder / 'tokens')
    back(store)
    assert 1 <= len(initialised) <= 4


def test_a_store_opens_once_its_token_is_there(token, folder):
    (token.folder / 'tokens').rename(token.folder / 'away')
    store = open_plugin(OpenedLater, connection=f'sqlite:///{folder}/hsm.sqlite',
                        **token.settings)
    with pytest.raises(Unavailable, match=r'secret_store:plugin'):
        Pkcs11.open(store)
    (token.folder / 'away').rename(token.folder / 'tokens')
    Pkcs11.open(store)
    assert asks(store) == bytes(32)
    store.close()


def test_sessions_that_somebody_closed_are_opened_again(store):
    asks(store)
    library = store._token.module.library
    library.close_all_sessions(store._token._token.slot.slot_id)
    assert asks(store) == bytes(32)
    assert store._token.module.generation == 1


def test_a_login_that_somebody_ended_is_done_again(store):
    asks(store)
    store._token.module.library.log_out(store._token._owner.handle)
    assert asks(store) == bytes(32)
    assert store._token.module.generation == 1


def test_a_module_finalised_under_us_is_initialised_again(store):
    stored = put(store)
    store._token.module.library.finalise()
    store._keys.clear()
    assert store.retrieve(stored) == b'a payload'
    assert store._token.module.generation == 2


def test_many_threads_survive_all_of_that(store):
    stored, over = put(store), threading.Event()
    library, slot = store._token.module.library, store._token._token.slot.slot_id

    def read():
        answers = []
        while not over.is_set():
            try:
                answers.append(asks(store) == bytes(32))
            except Unavailable:
                answers.append(None)
        return answers

    with ThreadPoolExecutor(8) as threads:
        reading = [threads.submit(read) for _ in range(8)]
        for spoil in (lambda: library.close_all_sessions(slot), library.finalise) * 3:
            time.sleep(0.1)
            with contextlib.suppress(PKCS11Error, Unavailable), store._token.module.gate.alone():
                spoil()
        time.sleep(0.5)
        over.set()
        answers = [answer for ended in reading for answer in ended.result()]
    assert answers.count(True) > 100
    assert False not in answers
    back(store)
    assert store.retrieve(stored) == b'a payload'



def test_what_was_altered_does_not_open_and_does_not_touch_the_module(store):
    wrapped = store.wrap(bytes(32), b'context')
    generation = store._token.module.generation
    for data in (wrapped.data[:-1] + bytes([wrapped.data[-1] ^ 1]), wrapped.data[:20], wrapped.data[:1],
                 b'', b'\xff' * 61):
        with pytest.raises(CannotOpen):
            store.unwrap(type(wrapped)(key_id=wrapped.key_id, data=data), b'context')
    with pytest.raises(CannotOpen):
        store.unwrap(wrapped, b'another')
    assert store._token.module.generation == generation


@pytest.mark.parametrize('name', ['', 'nonsense', '00000001deadbeef-aabbcc'])
def test_a_master_key_nobody_has_opens_nothing(store, name):
    wrapped = store.wrap(bytes(32), b'context')
    with pytest.raises(CannotOpen):
        store.unwrap(type(wrapped)(key_id=name, data=wrapped.data), b'context')


def test_another_key_under_the_same_id_is_found_out(store):
    wrapped = store.wrap(bytes(32), b'context')
    other = wrapped.key_id[:-6] + ('000000' if wrapped.key_id[-6:] != '000000' else '111111')
    with pytest.raises(CannotOpen):
        store.unwrap(type(wrapped)(key_id=other, data=wrapped.data), b'context')


def test_a_network_hsm_that_is_killed_is_away_at_once_and_back_with_its_server(token):
    # p11-kit passes neither GCM nor CBC nor key wrap on: so this asks for check values.
    with remote(token.module_path, token.token_label) as server, contextlib.closing(open_plugin(
            WithoutMasterKey, connection='sqlite://',
            **{**token.settings, 'module_path': server.module_path})) as store:
        before = store.master_keys()
        assert before
        server.kill()
        began = time.monotonic()
        for _ in range(5):
            with pytest.raises(Unavailable):
                store.master_keys()
        assert time.monotonic() - began < SOON
        server.start()
        while True:
            assert time.monotonic() - began < 2 * SOON
            with contextlib.suppress(Unavailable):
                assert store.master_keys() == before
                break
            time.sleep(0.05)


def test_a_token_in_the_place_of_another_is_found_out(store, token):
    asks(store)
    store._masters._names[max(store._masters._names)] = 'another'
    store._token.module.library.finalise()
    with pytest.raises(Unavailable, match='does not have the master keys it had'):
        asks(store)


def test_a_session_lost_while_a_suite_is_tried_says_nothing_of_the_suite(store):
    store._masters._suites.clear()
    with store._token._pool.lease(store._token._token.open) as lease:
        by = store._masters.newest(lease)
        store._token.module.library.close_all_sessions(store._token._token.slot.slot_id)
        with pytest.raises(PKCS11Error):
            store._masters.suite(by)
    assert asks(store) == bytes(32)
    assert list(store._masters._suites.values()) == ['gcm']
