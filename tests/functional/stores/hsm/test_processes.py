# SPDX-License-Identifier: Apache-2.0
"""Tokens used by several processes, threads and stores: logins, forks, new master keys."""
import contextlib
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from km.interfaces import CannotOpen, Misconfigured, Unavailable
from km.plugins.secret_store.cryptoki import module
from km.plugins.secret_store.cryptoki.library import Library
from km.testing import open_plugin
from tests.functional.pkcs11_stores import (
    OpenedLater,
    WithoutMasterKey,
    asks,
    new_master_key,
    pkcs11_store,
)
from tests.functional.softhsm import add_token


def in_a_new_process(target, *arguments):
    """What a function gives in a process that was not forked from this one."""
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        return pool.apply(target, arguments)



@pytest.fixture
def wrong(token, folder):
    path = folder / 'wrong'
    path.touch(0o600)
    path.write_text('0000\n')
    return {**token.settings, 'pin_file': str(path)}


@pytest.fixture
def logins(monkeypatch):
    tried, log_in = [], Library.log_in

    def counted(self, token, pin):
        tried.append(pin)
        return log_in(self, token, pin)

    monkeypatch.setattr(Library, 'log_in', counted)
    return tried


def test_a_wrong_one_is_tried_once_by_all_threads_until_it_changes(wrong, folder, logins):
    store = open_plugin(OpenedLater, connection='sqlite://', **wrong)

    def opened(_):
        with pytest.raises(Unavailable, match='pin_file') as refused:
            store.open_token()
        assert '0000' not in str(refused.value)

    for attempt in range(3):
        opened(attempt)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(opened, range(8)))
    assert len(logins) == 1
    (folder / 'wrong').write_text('7391')
    store.open_token()
    store.close_token()
    assert len(logins) == 2


def test_processes_that_mind_each_other_try_it_once(wrong):
    tries = [in_a_new_process(tries_to_log_in, wrong) for _ in range(4)]
    assert tries == [1, 0, 0, 0]


@pytest.mark.parametrize(('mode', 'text', 'told'), [
    (0o644, b'7391', 'may be read'), (0o600, b'\n', 'is empty'), (0o600, b'\xff', 'no UTF-8')])
def test_a_file_that_is_no_good_is_said_to_be(token, folder, mode, text, told):
    path = folder / 'pin'
    path.write_bytes(text)
    path.chmod(mode)
    with pytest.raises(Misconfigured, match=told):
        open_plugin(WithoutMasterKey, connection='sqlite://',
                    **{**token.settings, 'pin_file': str(path)})


def test_a_file_that_is_not_there_is_said_not_to_be(token, folder):
    with pytest.raises(Misconfigured, match='cannot be read'):
        open_plugin(WithoutMasterKey, connection='sqlite://',
                    **{**token.settings, 'pin_file': str(folder / 'none')})


def test_without_any_pin_a_token_without_keys_of_its_own_is_misconfigured(token):
    with pytest.raises(Misconfigured, match='wants a PIN'):
        open_plugin(WithoutMasterKey, connection='sqlite://', module_path=token.module_path,
                    token_label=token.token_label)


def tries_to_log_in(settings):
    """How often this process calls C_Login."""
    tried, log_in = [], Library.log_in
    Library.log_in = lambda self, token, pin: (tried.append(pin), log_in(self, token, pin))[1]
    for _ in range(3):
        with contextlib.suppress(Unavailable):
            open_plugin(WithoutMasterKey, connection='sqlite://', login_after_failed_try=False,
                        **settings)
    return len(tried)


def test_a_child_of_a_fork_is_told_and_can_open_its_own(store, token, folder):
    asks(store)
    child = os.fork()
    if not child:
        status = 1
        try:
            with contextlib.suppress(Unavailable):
                asks(store)
                status = 2
                raise AssertionError
            own = pkcs11_store(token.settings, folder)
            status = 0 if asks(own) == bytes(32) else 3
            own.close()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert asks(store) == bytes(32)


def test_a_master_key_made_by_another_process_seals_from_then_on(store, token):
    before = store.wrap(bytes(32), b'context')
    made = in_a_new_process(new_master_key, token.settings)
    assert store.wrap(bytes(32), b'context').key_id == made != before.key_id
    assert store.unwrap(before, b'context') == bytes(32)


def test_what_another_process_sealed_under_a_key_new_here_opens(store, token, folder):
    other = pkcs11_store(token.settings, folder)
    made = in_a_new_process(new_master_key, token.settings)
    wrapped = other.wrap(bytes(32), b'context')
    assert wrapped.key_id == made
    assert store.unwrap(wrapped, b'context') == bytes(32)
    other.close()


def test_many_threads_use_one_token_and_none_of_them_fails(store):
    def work(_):
        return all(asks(store) == bytes(32) for _ in range(100))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(8)))



def test_two_stores_of_one_module_share_it_and_each_can_be_closed(store, token, folder):
    add_token(token, 'second')
    with pytest.raises(Unavailable, match='no such token now'):
        # SoftHSM lists its slots when it is initialised.
        new_master_key({**token.settings, 'token_label': 'second'})
    store.close()
    second = {**token.settings, 'token_label': 'second'}
    new_master_key(second)
    store.open()
    with contextlib.closing(pkcs11_store(second, folder, master_key_label='km-master')) as other:
        assert other.wrap(bytes(32), b'').key_id != store.wrap(bytes(32), b'').key_id
        assert other._token.module is store._token.module
    assert asks(store) == bytes(32)
    with pytest.raises(Misconfigured, match='initialisation_string'):
        pkcs11_store(second, folder, initialisation_string='another')
    assert asks(store) == bytes(32)


def test_two_labels_on_one_token_do_not_log_each_other_out(store, token, folder):
    settings = {**token.settings, 'master_key_label': 'km-other'}
    new_master_key(settings)
    pkcs11_store(settings, folder).close()
    assert asks(store) == bytes(32)


def test_the_module_is_finalised_with_its_last_store(token, folder):
    store = pkcs11_store(token.settings, folder)
    path = os.path.realpath(token.module_path)
    assert path in module._modules.in_use
    store.close()
    assert path not in module._modules.in_use


def test_a_module_that_cannot_lock_is_entered_by_one_thread_at_a_time(token, folder, monkeypatch):
    enter = Library._enter
    monkeypatch.setattr(Library, '_enter', lambda self, flags: 0xA if flags else enter(self, flags))
    store = pkcs11_store(token.settings, folder)
    assert store._token.module.gate.serial
    assert 'one call at a time' in store.describe()[0][0]

    def work(_):
        return all(asks(store) == bytes(32) for _ in range(25))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(8)))
    store.close()


def test_a_key_unknown_here_makes_the_module_start_anew_where_that_shows_it_but_not_each_time(
        token, folder):
    store = pkcs11_store(token.settings, folder, reload_for_new_keys=True)
    wrapped = store.wrap(bytes(32), b'context')
    for _ in range(3):
        with pytest.raises(CannotOpen):
            store.unwrap(type(wrapped)(key_id='0000ffff00000000-aabbcc', data=wrapped.data), b'context')
    assert store._token.module.generation == 2
    assert store.unwrap(wrapped, b'context') == bytes(32)
    store.close()
