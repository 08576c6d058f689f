# SPDX-License-Identifier: Apache-2.0
"""``openstack certificate save``: what is in the files, who may read them, and what stays as it was."""
import logging
import os

import pytest
from osc_lib.exceptions import CommandError

from km.client.certificate_files import SaveCertificate, write

BASE = 'https://keys.example.org/v1'
ID, LEAF, CHAIN, KEY = (f'0a8f0c5e-54c5-4c0b-8f0a-0d5b8c3f1a0{digit}' for digit in range(1, 5))
REFS = {'certificate': f'{BASE}/secrets/{LEAF}', 'intermediates': f'{BASE}/secrets/{CHAIN}',
        'private_key': f'{BASE}/secrets/{KEY}'}
PRIVATE = 'an unmistakable private key'


@pytest.fixture
def kept(server):
    """The stand-in with a certificate, and what it keeps of it."""
    server.answers['GET', f'/v1/certificates/{ID}'] = 200, {'certificate_id': ID, 'secret_refs': REFS}
    for secret, payload in ((LEAF, 'a leaf'), (CHAIN, 'a chain'), (KEY, PRIVATE)):
        server.answers['GET', f'/v1/secrets/{secret}/payload'] = 200, payload
    return server


@pytest.fixture(params=[0o000, 0o022, 0o077], ids='{:03o}'.format)
def umask(request):
    previous = os.umask(request.param)
    yield request.param
    os.umask(previous)


def mode(path):
    return path.stat().st_mode & 0o777


def options(folder):
    return [word for name in ('certificate', 'chain', 'key')
            for word in (f'--{name}', str(folder / name))]


def test_only_its_owner_may_read_the_file_of_a_key(kept, openstack, tmp_path, umask):
    assert openstack(SaveCertificate, ID, *options(tmp_path)) == ''
    texts = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert texts == {'certificate': 'a leaf', 'chain': 'a chain', 'key': PRIVATE}
    assert mode(tmp_path / 'key') == 0o600
    assert mode(tmp_path / 'chain') == mode(tmp_path / 'certificate') == 0o666 & ~umask


def test_what_is_not_asked_for_is_not_read(kept, openstack, tmp_path):
    openstack(SaveCertificate, ID, '--chain', str(tmp_path / 'chain'))
    assert [path.name for path in tmp_path.iterdir()] == ['chain']
    assert [path for _, path, _ in kept.asked] == [
        f'/v1/certificates/{ID}', f'/v1/secrets/{CHAIN}/payload']


@pytest.mark.parametrize('name', ['certificate', 'chain', 'key'])
def test_a_file_that_is_there_stays_and_no_other_is_written(kept, openstack, tmp_path, name):
    (tmp_path / name).write_text('mine')
    with pytest.raises(CommandError, match='is there already'):
        openstack(SaveCertificate, ID, *options(tmp_path))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, 'mine')]
    assert kept.asked == []


def test_a_file_that_came_meanwhile_stays(tmp_path):
    (tmp_path / 'key').write_text('mine')
    with pytest.raises(CommandError, match='File exists'):
        write(tmp_path / 'key', b'ours', mode=0o600)
    assert (tmp_path / 'key').read_text() == 'mine'


def test_a_file_is_replaced_if_that_is_meant_and_then_only_its_owner_may_read_it(
        kept, openstack, tmp_path):
    (tmp_path / 'key').write_text('old, and longer than the new one: ' + 'x' * 100)
    (tmp_path / 'key').chmod(0o644)
    with (tmp_path / 'key').open() as others:
        openstack(SaveCertificate, ID, '--key', str(tmp_path / 'key'), '--force')
        assert PRIVATE not in others.read()  # who had it open has the old one
    assert (tmp_path / 'key').read_text() == PRIVATE
    assert mode(tmp_path / 'key') == 0o600
    assert len(list(tmp_path.iterdir())) == 1


def test_nothing_is_written_through_a_link(kept, openstack, tmp_path):
    (tmp_path / 'key').symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(CommandError, match='is there already'):
        openstack(SaveCertificate, ID, '--key', str(tmp_path / 'key'))
    with pytest.raises(CommandError, match='is not a plain file'):
        openstack(SaveCertificate, ID, '--key', str(tmp_path / 'key'), '--force')
    assert not (tmp_path / 'elsewhere').exists()


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / 'folder').mkdir()
    for path, said in ((tmp_path / 'folder', 'directory'), (tmp_path / 'no' / 'such', 'No such file')):
        with pytest.raises(CommandError, match=said):
            write(path, b'ours', mode=0o600, force=True)
    assert [path.name for path in tmp_path.rglob('*')] == ['folder']


@pytest.mark.parametrize(('arguments', 'said'), [
    ((), 'Name a file'), (('--key', 'one', '--chain', './one'), 'a name of its own')])
def test_files_that_cannot_be_are_told_before_anything_is_asked(server, openstack, arguments, said):
    with pytest.raises(CommandError, match=said):
        openstack(SaveCertificate, ID, *arguments)
    assert server.asked == []


def test_a_key_that_the_service_has_not_is_told(kept, openstack, tmp_path):
    kept.answers['GET', f'/v1/certificates/{ID}'] = 200, {
        'certificate_id': ID,
        'secret_refs': {name: REFS[name] for name in ('certificate', 'intermediates')}}
    with pytest.raises(CommandError, match='no private key of this certificate'):
        openstack(SaveCertificate, ID, *options(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_payload_that_is_refused_leaves_no_file(kept, openstack, tmp_path):
    kept.answers['GET', f'/v1/secrets/{KEY}/payload'] = 403, {'title': 'Forbidden', 'description': 'No.'}
    with pytest.raises(CommandError, match=rf'{KEY} cannot be read: Forbidden \(HTTP 403\)'):
        openstack(SaveCertificate, ID, *options(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_no_log_shows_the_key_at_any_level(kept, openstack, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    openstack(SaveCertificate, ID, *options(tmp_path))
    assert f'/v1/certificates/{ID}' in caplog.text
    assert PRIVATE not in caplog.text
