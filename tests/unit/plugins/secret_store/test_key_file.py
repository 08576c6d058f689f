# SPDX-License-Identifier: Apache-2.0
"""What km demands of a key file before it believes it."""
import base64
import os
import stat

import pytest

from km.interfaces import Misconfigured
from km.plugins.secret_store import key_file


@pytest.fixture
def path(folder):
    path = folder / 'kek'
    key_file.create(str(path))
    return path


def test_a_new_key_is_random_private_and_reads_back(folder, path):
    other = key_file.create(str(folder / 'other'))
    read = key_file.read(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert len(read.key) == 32
    assert read.key != other.key
    assert read.fingerprint == key_file.fingerprint(read.key)


def test_the_key_is_in_no_repr(path):
    read = key_file.read(str(path))
    assert read.key.hex() not in repr(read)
    assert repr(read.key) not in repr(read)


def test_a_fingerprint_is_what_it_was():
    assert key_file.fingerprint(bytes(32)) == 'edacfee9e3722a36'


def test_a_key_is_never_overwritten(path):
    before = path.read_bytes()
    with pytest.raises(Misconfigured, match='cannot be written'):
        key_file.create(str(path))
    assert path.read_bytes() == before


@pytest.mark.parametrize('mode', [0o444, 0o644, 0o404, 0o460, 0o402, 0o410])
def test_a_key_file_that_others_may_touch_is_refused(path, mode):
    path.chmod(mode)
    with pytest.raises(Misconfigured, match='0400'):
        key_file.read(str(path))


@pytest.mark.parametrize('mode', [0o400, 0o600, 0o440, 0o640])
def test_a_key_file_for_its_user_and_group_is_taken(path, mode):
    path.chmod(mode)
    assert key_file.read(str(path))


def test_a_link_a_folder_a_missing_file_and_a_second_name_are_refused(folder, path):
    (folder / 'link').symlink_to(path)
    (folder / 'sub').mkdir(mode=0o700)
    for name in ('link', 'sub', 'missing'):
        with pytest.raises(Misconfigured):
            key_file.read(str(folder / name))
    os.link(path, folder / 'second')
    with pytest.raises(Misconfigured, match='one name'):
        key_file.read(str(path))


def test_a_folder_that_others_may_write_to_is_refused(folder, path):
    folder.chmod(0o777)
    with pytest.raises(Misconfigured, match='folder'):
        key_file.read(str(path))


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can give files away')
def test_a_key_file_of_a_third_user_is_refused(path):
    os.chown(path, 12345, 12345)
    with pytest.raises(Misconfigured, match='belong'):
        key_file.read(str(path))


@pytest.mark.parametrize('text', [
    b'', b'\xff\xfe', b'km-kek-v1', b'km-kek-v1 0 !!!!', b'km-kek-v2 0 ' + base64.b64encode(bytes(32)),
    b'km-kek-v1 0 ' + base64.b64encode(bytes(16)), b'x' * 10000])
def test_a_file_without_a_key_is_refused_with_the_command_that_makes_one(folder, text):
    path = folder / 'other'
    path.write_bytes(text)
    path.chmod(0o400)
    with pytest.raises(Misconfigured, match='km-manage kek create'):
        key_file.read(str(path))


def test_a_damaged_key_is_found_out_by_its_fingerprint(folder, path):
    label, name, _ = path.read_text().split()
    damaged = folder / 'damaged'
    damaged.write_text(f'{label} {name} {base64.b64encode(bytes(32)).decode()}')
    damaged.chmod(0o400)
    with pytest.raises(Misconfigured, match=name):
        key_file.read(str(damaged))
