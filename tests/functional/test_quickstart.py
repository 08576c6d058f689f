# SPDX-License-Identifier: Apache-2.0
"""``km-quickstart``: what it leaves in its folder, how it ends, and what it says when it cannot."""
import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest

from km.cmd import quickstart
from tests.functional.km_server import (
    STOP_SECONDS,
    ends_cleanly,
    environment,
    new_text,
    program,
    standalone,
)
from tests.functional.servers import HOST


@pytest.fixture
def folder(tmp_path):
    """Where a quick start may make its folder."""
    return tmp_path / 'quickstart'


def refused(*arguments):
    """The one line of a quick start that cannot be."""
    done = subprocess.run([program('km-quickstart'), *map(str, arguments)], env=environment(),
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stdout == ''
    (line,) = done.stderr.splitlines()
    assert line.startswith('km: ')
    return line


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_used_port_is_named_in_one_line(folder):
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(folder, '--port', port)
    assert f'{HOST}:{port}' in line
    assert 'Address already in use' in line


def test_a_folder_that_cannot_be_one_is_named_in_one_line(tmp_path):
    (tmp_path / 'file').write_text('mine')
    for path in (tmp_path / 'file', tmp_path / 'file' / 'below', '/proc/quickstart'):
        assert str(path) in refused(path)
    assert (tmp_path / 'file').read_text() == 'mine'


def test_a_file_that_cannot_be_written_is_named_in_one_line(folder):
    (folder / 'km.conf').mkdir(parents=True)
    assert str(folder / 'km.conf') in refused(folder)


def test_only_its_user_can_read_what_it_leaves(folder):
    previous = os.umask(0)
    try:
        with standalone(folder):
            assert mode(folder) == 0o700
            assert mode(folder / 'kek') == 0o400
            for name in ('openrc', 'users', 'km.conf'):
                assert mode(folder / name) == 0o600
    finally:
        os.umask(previous)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_seconds_whatever_its_clients_are_at(folder, number):
    with standalone(folder) as km, contextlib.ExitStack() as clients:
        km.secret()  # over a connection that stays open
        for sent in (b'', b'GET / HTTP/1.1\r\nHo', b'POST /v1/secrets HTTP/1.1\r\nHost: x\r\n'
                     b'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{'):
            client = clients.enter_context(socket.create_connection(
                (HOST, int(km.url.rpartition(':')[2]))))
            client.sendall(sent)
        time.sleep(0.3)
        began = time.monotonic()
        assert ends_cleanly(km.process, number), km.log_tail()
        assert time.monotonic() - began < STOP_SECONDS
    log = km.log.read_text()
    assert 'Traceback' not in log
    assert not km.leaks()


def test_a_second_start_finds_password_key_and_secrets_there(folder):
    with standalone(folder) as km:
        payload = new_text()
        path = km.secret(payload)
        kept = {name: (folder / name).read_bytes() for name in ('kek', 'users')}
        password = km.openrc()['OS_PASSWORD']
        assert ends_cleanly(km.process)
    with standalone(folder) as km:
        assert {name: (folder / name).read_bytes() for name in kept} == kept
        assert km.openrc()['OS_PASSWORD'] == password
        assert km.get(path + '/payload').text == payload


def test_a_second_start_on_another_port_tells_clients_of_it(folder):
    for _ in range(2):
        with standalone(folder) as km:
            assert km.openrc()['OS_ENDPOINT'].startswith(km.url)
            assert km.post('/v1/secrets', {}).json()['secret_ref'].startswith(km.url)


def test_a_start_that_was_killed_half_way_is_taken_up(folder):
    folder.mkdir(mode=0o700)
    for name in ('users', 'km.conf', 'km.sqlite'):
        (folder / name).touch(mode=0o600)
    with standalone(folder) as km:
        assert km.get(km.secret('taken up') + '/payload').text == 'taken up'


def test_it_says_what_to_paste_and_never_the_password(folder):
    with standalone(folder) as km:
        said = km.log.read_text()
    assert f'. {folder}/openrc' in said
    assert 'openstack secret store' in said
    assert km.url in said
    assert not km.leaks()


def test_its_folder_may_have_an_odd_name(tmp_path):
    folder = tmp_path / 'an ödd folder; 100% a=b #1'
    with standalone(folder) as km:
        assert km.get(km.secret('odd') + '/payload').text == 'odd'
    assert (folder / 'soft.sqlite').exists()


@pytest.mark.parametrize('shell', ['sh', 'bash', 'dash', 'zsh', 'busybox sh'])
def test_any_shell_can_source_its_openrc(folder, shell):
    shell = shell.split()
    if not shutil.which(shell[0]):
        pytest.skip('it is not installed')
    quickstart.prepare(folder, port=9311)
    line = f'set -e; . {folder}/openrc; printf %s "$OS_AUTH_TYPE $OS_ENDPOINT $OS_CLOUD"'
    done = subprocess.run([*shell, '-c', line], capture_output=True, text=True,
                          env={**environment(), 'OS_CLOUD': 'another'})
    assert (done.stdout, done.stderr) == ('http_basic http://127.0.0.1:9311/v1 ', '')
