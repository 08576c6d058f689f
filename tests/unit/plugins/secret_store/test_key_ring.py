# SPDX-License-Identifier: Apache-2.0
"""Several master keys in a file: which seals, which opens, and that none is ever lost."""
import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from km.interfaces import Misconfigured
from km.plugins.secret_store import key_file, key_ring
from km.plugins.secret_store.key_ring import Ring


@pytest.fixture
def path(folder):
    path = folder / 'kek'
    key_file.create(str(path))
    return path


def with_another(ring):
    return Ring((key_file.new(), *ring.keys), ring.staged)


def with_staged(ring):
    return Ring(ring.keys, key_file.new())


def names(path):
    return [key.fingerprint for key in key_ring.read(str(path)).all]


def test_a_file_of_one_key_is_a_ring(path):
    assert key_ring.read(str(path)) == Ring((key_file.read(str(path)),))


def test_what_is_written_reads_back_and_the_old_key_is_kept(path):
    old = key_file.read(str(path))
    _, after = key_ring.change(str(path), lambda ring: with_staged(with_another(ring)))
    assert key_ring.read(str(path)) == after
    assert old in after.keys
    assert [line.split()[0] for line in path.read_text().splitlines()] == [
        'km-kek-v1', 'km-kek-v1', 'next']


@pytest.mark.parametrize('mode', [0o400, 0o440, 0o600])
def test_owner_and_mode_stay_and_nothing_is_left_beside_it(folder, path, mode):
    path.chmod(mode)
    before = path.stat()
    (folder / '.kek.new').write_text('of one who was killed')
    key_ring.change(str(path), with_another)
    after = path.stat()
    assert stat.S_IMODE(after.st_mode) == mode
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino
    assert [found.name for found in folder.iterdir()] == ['kek']


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can give files away')
def test_the_group_that_may_read_it_may_go_on(path):
    os.chown(path, 0, 12345)
    path.chmod(0o440)
    key_ring.change(str(path), with_another)
    assert path.stat().st_gid == 12345


def test_a_change_that_changes_nothing_does_not_touch_the_file(path):
    before = path.stat()
    key_ring.change(str(path), lambda ring: ring)
    assert path.stat() == before


@pytest.mark.parametrize('step', ['open', 'fsync', 'chmod', 'rename'])
def test_a_file_that_cannot_be_replaced_is_as_it_was(folder, path, monkeypatch, step):
    before = path.read_bytes()
    real = getattr(os, step)

    def failing(*arguments, **named):
        if step != 'open' or arguments[1] & os.O_CREAT:
            raise OSError(errno.EROFS, 'Read-only file system')
        return real(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(os, step, failing)
        with pytest.raises(Misconfigured, match=r'Read-only file system.*nothing was changed'):
            key_ring.change(str(path), with_another)
    assert path.read_bytes() == before
    assert [found.name for found in folder.iterdir()] == ['kek']


@pytest.mark.parametrize('step', ['fsync', 'chmod', 'rename'])
@pytest.mark.parametrize('after', [False, True])
def test_one_who_is_killed_at_any_step_loses_no_key(path, monkeypatch, step, after):
    class Killed(BaseException):
        pass

    old, = names(path)
    real = getattr(os, step)

    def dying(*arguments, **named):
        if after:
            real(*arguments, **named)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(os, step, dying)
        with pytest.raises(Killed):
            key_ring.change(str(path), with_another)
    assert old in names(path)
    key_ring.change(str(path), with_another)
    assert old in names(path)


def test_those_who_add_keys_at_once_lose_none(path):
    old, = names(path)
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(
            lambda _: key_ring.change(str(path), with_another)[1].keys[0].fingerprint, range(8)))
    assert sorted(names(path)) == sorted([old, *made])


def test_two_staged_keys_none_that_seals_and_other_lines_are_refused(path):
    line = path.read_text()
    path.chmod(0o600)
    for text in (f'{line}next {line}next {line}', f'next {line}', f'{line}\n{line}', f'{line}x\n',
                 f'next next {line}', line.replace('kek', 'seal-key'), ''):
        path.write_text(text)
        with pytest.raises(Misconfigured, match=str(path)):
            key_ring.read(str(path))


def test_a_ring_that_others_may_read_is_refused(path):
    key_ring.change(str(path), with_another)
    path.chmod(0o444)
    with pytest.raises(Misconfigured, match='0400'):
        key_ring.read(str(path))


def test_no_key_is_in_the_repr_of_a_ring(path):
    ring = key_ring.read(str(path))
    assert repr(ring.keys[0].key) not in repr(ring)
