# SPDX-License-Identifier: Apache-2.0
"""Settings that cannot work: each is named with its section and option, and tells no key."""
import errno
import os
from pathlib import Path

import pytest
from km.interfaces import Misconfigured, Unavailable
from km.testing import open_plugin

from km_age.store import AgeStore


def refusal(settings):
    """What ``open`` says, which must be about the one thing that is wrong."""
    with pytest.raises(Misconfigured) as failure:
        open_plugin(AgeStore, **settings)
    assert 'AGE-SECRET-KEY' not in str(failure.value)
    assert failure.value.__cause__ is None
    return str(failure.value)


def test_an_identity_file_that_is_missing(settings):
    path = settings['identity_file'] = settings['identity_file'] + '.gone'
    assert refusal(settings) == (
        f'[secret_store:plugin] identity_file: {path} cannot be read: No such file or directory.')


@pytest.mark.parametrize('mode', [0o404, 0o440 | 0o020, 0o410, 0o602])
def test_an_identity_file_that_others_may_read_or_write(settings, mode):
    Path(settings['identity_file']).chmod(mode)
    assert refusal(settings).endswith('may be read or written by others; set its mode to 0400.')


def test_an_identity_file_of_somebody_else(settings, monkeypatch):
    monkeypatch.setattr(os, 'geteuid', lambda: 12345)
    path = Path(settings['identity_file'])
    if path.stat().st_uid == 0:
        os.chown(path, 54321, -1)
    assert 'identity_file' in (said := refusal(settings))
    assert said.endswith('must belong to root or to the user km runs as.')


@pytest.mark.parametrize('make', [os.mkfifo, lambda path: os.symlink('/dev/null', path)])
def test_an_identity_file_that_is_no_file(settings, make):
    path = settings['identity_file'] + '.odd'
    make(path)
    settings['identity_file'] = path
    assert refusal(settings).startswith(f'[secret_store:plugin] identity_file: {path} ')


@pytest.mark.parametrize(('content', 'said'), [
    ('# nothing\n', 'holds no identity; make one with "age-keygen".'),
    ('# one\n\nAGE-SECRET-KEY-1QQQ\n', 'line 3 is no identity of age.'),
    ('gültig\n', 'line 1 is no identity of age.')])
def test_an_identity_file_with_something_else_in_it(settings, content, said):
    path = Path(settings['identity_file'])
    path.chmod(0o600)
    path.write_text(content)
    assert refusal(settings).endswith(said)


def test_a_recovery_recipient_that_is_none(settings, identity):
    settings['recovery_recipients'] = [str(identity)]  # the secret half, by mistake
    assert refusal(settings) == ('[secret_store:plugin] recovery_recipients: one of them is no public '
                                 'key of age ("age1...").')


def test_a_folder_that_is_missing(settings):
    path = settings['folder'] = settings['folder'] + '.gone'
    assert refusal(settings) == f'[secret_store:plugin] folder: {path}: No such file or directory.'


def test_a_folder_that_others_may_look_into(settings):
    Path(settings['folder']).chmod(0o750)
    assert refusal(settings).endswith('it must belong to the user km runs as and have mode 0700.')


def test_a_file_system_that_does_not_answer_is_unavailable_and_opens_later(settings, monkeypatch):
    def stale(*arguments, **named):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    store = open_plugin(AgeStore, **settings)
    store.close()
    descriptors = os.listdir('/proc/self/fd')
    with monkeypatch.context() as patch:
        patch.setattr(os, 'mkdir', stale)
        with pytest.raises(Unavailable):
            store.open()
    assert os.listdir('/proc/self/fd') == descriptors
    store.open()
    assert store.check()
    store.close()
