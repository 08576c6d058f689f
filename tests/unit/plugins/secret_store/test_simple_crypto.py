# SPDX-License-Identifier: Apache-2.0
"""Master keys of Simple Crypto: replaced while processes run, staged for other hosts, retired."""
import errno
import os
import shutil
import uuid

import pytest

from km.interfaces import CannotOpen, Misconfigured, StoredSecret, StoreRequest
from km.plugins.secret_store import key_file, key_ring
from km.plugins.secret_store.simple_crypto import SimpleCrypto
from km.testing import open_plugin


@pytest.fixture
def host(folder):
    """Opens a store of a host: one database, a key file of the host's own."""
    stores = []

    def open_on(name):
        path = folder / name
        if not path.exists():
            key_file.create(str(path))
        stores.append(open_plugin(SimpleCrypto, kek_file=[str(path)],
                                  connection=f'sqlite:///{folder}/soft.sqlite'))
        return stores[-1]

    yield open_on
    for store in stores:
        store.close()


@pytest.fixture
def copied(folder):
    """Copies a key file from one host to another, as scp does: not at once."""
    def copy(one, other):
        target = folder / other
        if target.exists():
            target.chmod(0o600)
        shutil.copyfile(folder / one, target)
        target.chmod(0o400)
    return copy


def kept(store, project_id='alpha'):
    secret_id = str(uuid.uuid4())
    return StoredSecret(secret_id=secret_id, project_id=project_id, reference=store.store(
        StoreRequest(secret_id=secret_id, project_id=project_id, payload=b'a payload')))


def rewrapped(store):
    done = 0
    while looked_at := store.rewrap(limit=1):
        done += looked_at
    return done


def test_a_running_process_seals_under_a_new_master_key_without_a_restart(host):
    command, server = host('kek'), host('kek')
    before = kept(server, 'before')
    newest = command.new_master_key()
    after = kept(server, 'after')
    assert newest in server.check()
    assert command.to_rewrap() == server.to_rewrap() == 1
    assert rewrapped(command) == 1
    server._keys.clear()
    for stored in (before, after):
        assert server.retrieve(stored) == b'a payload'


def test_a_running_process_opens_what_a_key_seals_that_it_has_not_read(host, monkeypatch):
    command, server = host('kek'), host('kek')
    command.new_master_key()
    stored = kept(command)
    assert server.retrieve(stored) == b'a payload'


def test_on_several_hosts_every_secret_is_open_between_any_two_steps(host, copied, folder):
    one = host('one')
    copied('one', 'two')
    two = host('two')
    secrets = [kept(one, 'first'), kept(two, 'second')]

    def all_open():
        secrets.append(kept(one, f'p{len(secrets)}'))
        secrets.append(kept(two, f'p{len(secrets)}'))
        for store in (one, two):
            store._keys.clear()
            assert [store.retrieve(stored) for stored in secrets] == [b'a payload'] * len(secrets)

    staged = one.stage_master_key()
    assert one.stage_master_key() == staged
    all_open()
    copied('one', 'two')
    all_open()
    assert one.new_master_key() == staged
    all_open()
    assert rewrapped(one)
    all_open()
    copied('one', 'two')
    all_open()
    rewrapped(one)
    assert one.to_rewrap() == two.to_rewrap() == 0
    assert len(one.retire_master_keys()) == 1
    all_open()
    copied('one', 'two')
    all_open()
    assert [key.fingerprint for key in key_ring.read(str(folder / 'two')).all] == [staged]


def test_keys_that_still_seal_are_not_retired(host, folder):
    store = host('kek')
    kept(store)
    store.new_master_key()
    with pytest.raises(Misconfigured, match=r'\[secret_store:plugin\] 1 project keys are still'):
        store.retire_master_keys()
    assert len(key_ring.read(str(folder / 'kek')).keys) == 2


def test_retiring_keeps_what_is_staged(host, folder):
    store = host('kek')
    store.new_master_key()
    staged = store.stage_master_key()
    assert len(store.retire_master_keys()) == 1
    assert key_ring.read(str(folder / 'kek')).staged.fingerprint == staged


def test_a_key_file_that_cannot_be_replaced_is_named_with_its_option(host, monkeypatch):
    store = host('kek')
    stored = kept(store)

    def failing(*_):
        raise OSError(errno.EBUSY, 'Device or resource busy')

    with monkeypatch.context() as patched:
        patched.setattr(os, 'rename', failing)
        with pytest.raises(Misconfigured, match=r'\[secret_store:plugin\] kek_file: .*nothing'):
            store.new_master_key()
    assert store.to_rewrap() == 0
    assert store.retrieve(stored) == b'a payload'


def test_a_file_that_is_just_being_copied_is_read_later(host, folder, caplog):
    store, path = host('kek'), folder / 'kek'
    whole = path.read_text()
    path.chmod(0o600)
    path.write_text(whole[:40])
    kept(store, 'alpha')
    assert 'The master keys read before are used' in caplog.text
    assert whole.split()[2] not in caplog.text
    path.unlink()
    kept(store, 'beta')
    path.write_text(whole)
    path.chmod(0o400)
    caplog.clear()
    kept(store, 'gamma')
    assert not caplog.text


def test_a_key_that_is_nowhere_is_named(host, folder):
    store = host('kek')
    stored = kept(store)
    wanted = key_file.read(str(folder / 'kek')).fingerprint
    (folder / 'kek').unlink()
    key_file.create(str(folder / 'kek'))
    store._keys.clear()
    store._notice_changes()
    with pytest.raises(CannotOpen, match=wanted):
        store.retrieve(stored)
