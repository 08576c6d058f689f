# SPDX-License-Identifier: Apache-2.0
"""What is particular to this store: its files, whom they are bound to, and how it fails."""
import errno
import os
import shutil
import subprocess
import uuid
from pathlib import Path

import pyrage
import pytest
from km.interfaces import CannotOpen, NotFound, StoredSecret, StoreRequest, Unavailable
from km.testing import open_plugin

from km_age.store import AgeStore

PAYLOAD = b'unmistakable\n'


def kept(store, payload=PAYLOAD, project_id='a project'):
    request = StoreRequest(secret_id=str(uuid.uuid4()), project_id=project_id, payload=payload)
    return StoredSecret(secret_id=request.secret_id, project_id=project_id,
                        reference=store.store(request))


def file_of(settings, stored):
    found, = Path(settings['folder']).glob(f'*/{stored.secret_id}.*')
    return found


def decrypted(settings, identity_file, stored):
    """What the age of Debian, which shares no code with ours, makes of a file: header and payload."""
    said = subprocess.run(['age', '--decrypt', '--identity', identity_file, file_of(settings, stored)],
                          capture_output=True, check=True)
    header, _, payload = said.stdout.partition(b'\n')
    return header.decode(), payload


def test_age_itself_decrypts_what_was_written(store, settings):
    stored = kept(store)
    header, payload = decrypted(settings, settings['identity_file'], stored)
    assert payload == PAYLOAD
    assert header == f'{{"secret_id": "{stored.secret_id}", "project_id": "a project"}}'


def test_a_recovery_recipient_decrypts_it_too(settings, tmp_path):
    spare = tmp_path / 'spare'
    subprocess.run(['age-keygen', '--output', spare], check=True, capture_output=True)
    told = subprocess.run(['age-keygen', '-y', spare], check=True, capture_output=True, text=True)
    store = open_plugin(AgeStore, **settings, recovery_recipients=[told.stdout.strip()])
    assert decrypted(settings, spare, kept(store))[1] == PAYLOAD
    assert told.stdout.strip() in store.check()
    store.close()


def test_a_file_is_named_after_its_own_hash_and_nobody_else_reads_it(store, settings):
    file = file_of(settings, kept(store))
    said = subprocess.run(['sha256sum', file], capture_output=True, check=True, text=True)
    assert file.name.split('.')[1] == said.stdout.split()[0]
    assert file.stat().st_mode & 0o777 == 0o600
    assert PAYLOAD not in file.read_bytes()


def test_what_another_process_wrote_is_read_and_a_new_identity_in_front_opens_the_old(
        store, settings, identity):
    old = kept(store)
    newer = pyrage.x25519.Identity.generate()
    file = Path(settings['identity_file'])
    file.chmod(0o600)
    file.write_text(f'{newer}\n{identity}\n')
    file.chmod(0o400)
    other = open_plugin(AgeStore, **settings)
    assert other.retrieve(old) == PAYLOAD
    new = kept(other)
    with pytest.raises(CannotOpen):
        store.retrieve(new)
    other.close()


def replaced(stored, **changes):
    return StoredSecret(**{'secret_id': stored.secret_id, 'project_id': stored.project_id,
                           'reference': stored.reference, **changes})


def test_a_payload_is_bound_to_its_project(store):
    with pytest.raises(CannotOpen):
        store.retrieve(replaced(kept(store), project_id='another'))


def test_swapped_rows_do_not_open_even_if_the_files_are_copied_to_match(store, settings):
    first, second = kept(store, b'first'), kept(store, b'second')
    swapped = replaced(first, reference=second.reference)
    with pytest.raises(NotFound):
        store.retrieve(swapped)
    place = Path(settings['folder']) / first.secret_id[:2]
    shutil.copy(file_of(settings, second),
                place / f'{first.secret_id}.{second.reference["sha256"]}.age')
    with pytest.raises(CannotOpen):
        store.retrieve(swapped)


def test_a_forged_file_does_not_open_though_it_is_encrypted_well(store, settings, identity):
    stored = kept(store)
    header = decrypted(settings, settings['identity_file'], stored)[0]
    file_of(settings, stored).write_bytes(
        pyrage.encrypt(header.encode() + b'\nforged', [identity.to_public()]))
    with pytest.raises(CannotOpen):
        store.retrieve(stored)


@pytest.mark.parametrize('bit', [0, 300, -1])
def test_a_damaged_file_does_not_open(store, settings, bit):
    stored = kept(store)
    damaged = bytearray(file_of(settings, stored).read_bytes())
    damaged[bit] ^= 1
    file_of(settings, stored).write_bytes(damaged)
    with pytest.raises(CannotOpen):
        store.retrieve(stored)


def test_a_file_that_was_cut_off_is_found_and_destroyed(store, settings):
    stored = kept(store)
    os.truncate(file_of(settings, stored), 10)
    assert store.find(stored.secret_id) == stored.reference
    store.delete(stored)
    assert store.find(stored.secret_id) is None


@pytest.mark.parametrize('digest', ['../../identity', '../' * 21 + 'x', 7, ''])
def test_no_reference_leads_out_of_the_folder(store, digest):
    stored = replaced(kept(store), reference={'sha256': digest})
    with pytest.raises(NotFound):
        store.retrieve(stored)
    store.delete(stored)


def test_what_else_lies_in_the_folder_is_left_alone(store, settings):
    stored = kept(store)
    stranger = file_of(settings, stored).with_suffix('.orig')
    stranger.write_bytes(b'')
    assert [found.secret_id for found in store.kept(after=None, limit=10)] == [stored.secret_id]
    assert store.find(stored.secret_id) == stored.reference
    store.delete(stored)
    assert stranger.exists()


def test_a_check_leaves_nothing_behind(store):
    assert store.check().startswith('encrypting to age1')
    assert store.kept(after=None, limit=10) == []


def test_a_disk_that_is_full_is_unavailable_and_no_half_file_is_left(store, settings, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', full)
        with pytest.raises(Unavailable) as failure:
            kept(store)
    assert str(failure.value) == "The folder of 'plugin' does not work: No space left on device."
    assert store.kept(after=None, limit=10) == []


def test_a_folder_that_is_taken_away_is_unavailable_to_every_method(store, settings):
    stored = kept(store)
    shutil.rmtree(settings['folder'])
    for ask in (lambda: kept(store), lambda: store.delete(stored), lambda: store.find(stored.secret_id),
                lambda: store.kept(after=None, limit=1), store.check):
        with pytest.raises(Unavailable) as failure:
            ask()
        assert 'unmistakable' not in str(failure.value)


def test_what_is_stored_and_deleted_reaches_the_disk_before_that_is_said(store, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, 'fsync', lambda descriptor: (
        synced.append(os.readlink(f'/proc/self/fd/{descriptor}')), real(descriptor)))
    stored = kept(store)
    shard = stored.secret_id[:2]
    assert [path.endswith(('.age', f'/{shard}')) for path in synced] == [True, True]
    store.delete(stored)
    assert synced[2:] == synced[1:2]
