# SPDX-License-Identifier: Apache-2.0
"""Master keys and options of a PKCS#11 store that are right, and that are not."""
import contextlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from pkcs11 import Attribute, KeyType
from pkcs11.exceptions import DataLenRange

from km.interfaces import (
    CannotOpen,
    KmError,
    Misconfigured,
    Rejected,
    StoredSecret,
    StoreRequest,
    Unavailable,
)
from km.plugins.secret_store.cryptoki import payloads
from km.testing import open_plugin
from tests.functional.nss_token import nss_token
from tests.functional.pkcs11_stores import SOON, WithoutMasterKey, asks, new_master_key, pkcs11_store
from tests.functional.softhsm import add_token


def test_two_with_one_id_are_refused_at_once(token, folder):
    settings = {**token.settings, 'master_key_label': 'km-twins'}
    with contextlib.closing(
            open_plugin(WithoutMasterKey, connection='sqlite://', **settings)) as store:
        for _ in range(2):
            store._token.run_alone(lambda lease: lease.session.generate_key(
                KeyType.AES, 256, store=True, label='km-twins', id=b'one'))
        for _ in range(3):  # a search left open would hang the second time
            with pytest.raises(Misconfigured, match='two keys'):
                store.master_keys()


@pytest.mark.parametrize('attribute', [Attribute.SENSITIVE, Attribute.PRIVATE])
def test_one_that_could_leave_the_token_is_refused(token, attribute):
    label = f'km-{attribute.name}'
    settings = {**token.settings, 'master_key_label': label}
    with contextlib.closing(
            open_plugin(WithoutMasterKey, connection='sqlite://', **settings)) as store:
        store._token.run_alone(lambda lease: lease.session.generate_key(
            KeyType.AES, 256, store=True, label=label, id=b'one', template={attribute: False}))
        with pytest.raises(Misconfigured, match='could leave'):
            store.master_keys()


def test_without_any_the_operator_is_told_how_to_make_one(token, folder):
    with pytest.raises(Misconfigured, match='km-manage hsm init plugin'):
        pkcs11_store({**token.settings, 'master_key_label': 'km-none'}, folder)


@pytest.mark.parametrize('suite', ['gcm', 'kw', 'cbc-hmac'])
def test_each_suite_seals_and_what_it_sealed_opens_with_any_other_chosen(token, folder, suite):
    settings = {**token.settings, 'master_key_label': f'km-{suite}'}
    new_master_key({**settings, 'wrap_suites': [suite]})
    store = pkcs11_store(settings, folder, wrap_suites=[suite])
    wrapped = store.wrap(bytes(range(32)), b'context')
    store.close()
    new_master_key(settings)
    store = pkcs11_store(settings, folder)
    assert store.unwrap(wrapped, b'context') == bytes(range(32))
    assert store.wrap(bytes(32), b'').data[0] == 17
    for at in range(len(wrapped.data)):
        altered = bytearray(wrapped.data)
        altered[at] ^= 1
        with pytest.raises(CannotOpen):
            store.unwrap(type(wrapped)(key_id=wrapped.key_id, data=bytes(altered)), b'context')
    store.close()


def test_a_suite_the_token_has_not_is_said_not_to_be_there(token, folder):
    with pytest.raises(KmError, match='wrap_suites'):
        new_master_key({**token.settings, 'wrap_suites': ['kwp']})
    with pytest.raises(Misconfigured, match='wrap_suites'):
        pkcs11_store(token.settings, folder, wrap_suites=['kwp'])



@pytest.mark.parametrize(('settings', 'told'), [
    ({'module_path': '/none.so'}, 'module_path: /none.so cannot be loaded'),
    ({'module_path': sys.executable}, 'module_path'),
    ({'token_label': None}, 'token_label or token_serial is required'),
])
def test_a_mistake_is_told_with_its_option(token, settings, told):
    with pytest.raises(Misconfigured, match=told):
        new_master_key({**token.settings, **settings})


def test_a_token_is_told_from_others_by_its_serial(token):
    with pytest.raises(Unavailable, match='no such token'):
        new_master_key({**token.settings, 'token_serial': 'other'})
    twin = {**token.settings, 'token_label': 'twin'}
    add_token(token, 'twin')
    add_token(token, 'twin')
    with pytest.raises(Misconfigured, match='several tokens'):
        new_master_key(twin)
    shown = subprocess.run(['softhsm2-util', '--show-slots'], capture_output=True, text=True).stdout
    serial = next(line.split(':')[1].strip() for line in shown.partition('Label:            twin')[0]
                  .splitlines()[::-1] if 'Serial number' in line)
    assert new_master_key({**twin, 'token_serial': serial})


def test_more_calls_than_sessions_wait_and_are_told_when_that_takes_too_long(token, folder):
    store = pkcs11_store(token.settings, folder, sessions=1, session_timeout_seconds=1)
    entered, over = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(
            store._token.run, lambda _: (entered.set(), over.wait(SOON)))
        entered.wait(SOON)
        with pytest.raises(Unavailable, match='sessions'):
            asks(store)
        over.set()
        held.result()
    assert asks(store) == bytes(32)
    store.close()


def kept_in(store):
    request = StoreRequest(secret_id='one', project_id='alpha', payload=b'the payload')
    return StoredSecret(secret_id='one', project_id='alpha', reference=store.store(request))


@pytest.mark.parametrize(('first', 'then'), [(True, False), (False, True)])
def test_a_payload_opens_whether_it_was_sealed_in_the_token_or_not(token, folder, first, then):
    with contextlib.closing(pkcs11_store(token.settings, folder, payloads_in_token=first)) as store:
        stored = kept_in(store)
    with contextlib.closing(pkcs11_store(token.settings, folder, payloads_in_token=then)) as store:
        assert store.retrieve(stored) == b'the payload'


def test_a_payload_is_sealed_and_opened_in_the_token_if_so_wanted(token, folder, monkeypatch):
    with contextlib.closing(pkcs11_store(token.settings, folder, payloads_in_token=True)) as store:
        asks(store)
        asked, run = [], store._token.run
        monkeypatch.setattr(store._token, 'run', lambda work: asked.append(work) or run(work))
        stored = kept_in(store)
        asked.clear()
        store.retrieve(stored)
        assert len(asked) == 2, 'the key of the secret, and the payload'


def test_a_payload_that_was_altered_does_not_open_in_the_token_and_the_store_goes_on(token, folder):
    with contextlib.closing(pkcs11_store(token.settings, folder, payloads_in_token=True)) as store:
        stored = kept_in(store)
        with store._database.engine.connect() as connection:
            blob = connection.exec_driver_sql('SELECT blob FROM blobs').scalar_one()
            connection.exec_driver_sql('UPDATE blobs SET blob = ?', (blob[:-1] + bytes([blob[-1] ^ 1]),))
        generation = store._token.module.generation
        with pytest.raises(CannotOpen):
            store.retrieve(stored)
        asks(store)
        assert store._token.module.generation == generation


def test_a_payload_that_the_token_does_not_seal_is_refused_and_not_called_altered(
        token, folder, monkeypatch):
    def too_long(*_):
        raise DataLenRange

    with contextlib.closing(pkcs11_store(token.settings, folder, payloads_in_token=True)) as store:
        monkeypatch.setattr(payloads, '_encrypt', too_long)
        with pytest.raises(Rejected, match='does not seal this payload'):
            kept_in(store)


def test_a_token_that_takes_no_payloads_is_said_not_to(folder):
    settings = nss_token(folder)
    new_master_key(settings)
    with pytest.raises(Misconfigured, match=r'\[secret_store:plugin\] payloads_in_token: the token'):
        pkcs11_store(settings, folder, payloads_in_token=True)
