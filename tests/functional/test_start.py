# SPDX-License-Identifier: Apache-2.0
"""An operator's mistakes: ``km-api`` names each in one line, with section and option, and ends."""
import multiprocessing
import os
import socket
import subprocess
import sys

import pytest

from km.cmd import api
from km.conf.load import load
from km.deploy import database
from km.plugins.secret_store import key_file
from km.testing.application import Client, a_deployment, write_conf
from tests.functional.km_server import environment, program
from tests.functional.servers import HOST, reserved_port

PASSWORD = 'correct-horse-battery'


@pytest.fixture
def folder(tmp_path):
    tmp_path.chmod(0o700)
    return tmp_path


def upgraded(conf):
    """The same km.conf, with its database made."""
    metadata = database(load(files=[str(conf)]))
    metadata.upgrade()
    metadata.close()
    return conf


def executed(conf):
    """The exit status of km-api, what it printed, and what it complained of."""
    done = subprocess.run([program('km-api'), '--config-file', str(conf)], env=environment(),
                          capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def forked(conf):
    """The same, without spending a second on imports: in a child of this process."""
    folder = conf.parent
    child = multiprocessing.get_context('fork').Process(target=_km_api, args=(conf, folder))
    child.start()
    child.join(20)
    child.kill()
    return child.exitcode, (folder / 'stdout').read_text(), (folder / 'stderr').read_text()


def _km_api(conf, folder):
    for number, name in ((1, 'stdout'), (2, 'stderr')):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    sys.stdout, sys.stderr = (os.fdopen(number, 'w') for number in (1, 2))
    sys.argv = ['km-api', '--config-file', str(conf)]
    api.main()


def refused(conf, run=forked):
    """The one line in which km refuses to start."""
    status, printed, complained = run(conf)
    assert status == 1, printed + complained
    assert 'Traceback' not in printed
    assert PASSWORD not in printed + complained
    (line,) = complained.splitlines()
    assert line.startswith('km: ')
    return line


@pytest.mark.parametrize(('sections', 'said'), [
    ({'database': {'connection': None}}, ('connection', 'database')),
    ({'database': {'connection': ''}}, ('[database] connection',)),
    ({'database': {'connection': f'nonsense {PASSWORD}'}}, ('[database] connection',)),
    ({'database': {'connection': f'nosuch://km:{PASSWORD}@x/km'}}, ('[database] connection',)),
    ({'database': {'max_connections': '0'}}, ('max_connections',)),
    ({'api': {'auth_strategy': 'trust'}}, ('auth_strategy',)),
    ({'api': {'bind_port': '70000'}}, ('bind_port',)),
    ({'api': {'host_href': 'not a URL'}}, ('host_href',)),
    ({'api': {'auth_strategy': 'http_basic'}}, ('[api] http_basic_user_file',)),
    ({'api': {'auth_strategy': 'http_basic', 'http_basic_user_file': '/nowhere'}},
     ('[api] http_basic_user_file', '/nowhere')),
    ({'secret_store': {'enabled': None}}, ('[secret_store] default', 'soft')),
    ({'secret_store': {'default': None}}, ('[secret_store] default',)),
    ({'secret_store': {'default': 'hard'}}, ('[secret_store] default', 'hard')),
    ({'secret_store:soft': {'plugin': 'quantum'}},
     ('[secret_store:soft] plugin', 'quantum', 'simple_crypto')),
    ({'secret_store:soft': {'plugin': None}}, ('[secret_store:soft] plugin',)),
    ({'secret_store:soft': {'connection': None}}, ('[secret_store:soft] connection',)),
    ({'secret_store:soft': {'connection': f'nonsense {PASSWORD}'}},
     ('[secret_store:soft] connection',)),
    ({'secret_store:soft': {'connection': f'postgresql+psycopg://km:{PASSWORD}@127.0.0.1:1/km',
                            'required': True}},
     ('[secret_store:soft] connection',)),
    ({'secret_store:soft': {'kek_file': None}}, ('[secret_store:soft] kek_file',)),
    ({'secret_store:soft': {'kek_file': '/nowhere'}}, ('[secret_store:soft] kek_file', '/nowhere')),
    ({'rpc_transport': {'plugin': 'pigeon'}}, ('[rpc_transport] plugin', 'pigeon')),
], ids=lambda value: value[0] if isinstance(value, tuple) else None)
def test_an_option_that_cannot_be_is_named(folder, sections, said):
    upgraded(write_conf(folder))
    line = refused(write_conf(folder, sections))
    assert [word for word in said if word not in line] == []


def test_a_file_that_is_not_there_or_is_no_ini_is_named(folder):
    assert 'nowhere.conf' in refused(folder / 'nowhere.conf')
    (folder / 'bad.conf').write_text('no section\n')
    assert 'bad.conf' in refused(folder / 'bad.conf')


def test_a_key_file_that_others_may_read_is_refused(folder):
    conf = upgraded(write_conf(folder))
    for mode in (0o644, 0o404, 0o460):
        (folder / 'kek').chmod(mode)
        line = refused(conf)
        assert '[secret_store:soft] kek_file' in line
        assert f'{folder}/kek' in line
        assert '0400' in line


def test_a_key_file_without_a_key_is_refused_and_what_it_holds_is_not_told(folder):
    conf = upgraded(write_conf(folder))
    (folder / 'kek').chmod(0o600)
    for held in (b'', PASSWORD.encode(), b'\xff' * 1000, b'km-kek-v1 0123456789abcdef '
                 + b'A' * 43 + b'='):
        (folder / 'kek').write_bytes(held)
        line = refused(conf)
        assert '[secret_store:soft] kek_file' in line
        assert 'AAAA' not in line


def test_a_key_that_does_not_fit_the_data_is_refused_and_the_right_one_named(folder):
    conf = write_conf(folder)
    right = key_file.read(str(folder / 'kek')).fingerprint
    deployment = a_deployment(folder)
    Client(deployment.application).secret()
    deployment.close()
    (folder / 'kek').unlink()
    wrong = key_file.create(str(folder / 'kek')).fingerprint
    line = refused(conf)
    assert '[secret_store:soft]' in line
    assert right in line
    assert wrong not in line


def test_an_empty_database_is_refused_with_the_command_to_run(folder):
    line = refused(write_conf(folder), executed)
    assert '[database] connection' in line
    assert '"km-manage db upgrade"' in line


def test_a_database_of_another_service_is_refused(folder):
    conf = upgraded(write_conf(folder))
    metadata = database(load(files=[str(conf)]))
    with metadata.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'another'")
    metadata.close()
    line = refused(conf)
    assert '[database] connection' in line
    assert 'another' in line


def test_a_database_that_does_not_answer_is_said_not_to(folder):
    with reserved_port() as port:
        line = refused(write_conf(folder, {'database': {
            'connection': f'postgresql+psycopg://km:{PASSWORD}@{HOST}:{port}/km'}}))
    assert 'database does not answer' in line


def test_a_wrong_database_password_is_not_shown(folder, postgresql):
    url = postgresql.create_database('refused').replace(postgresql.password, PASSWORD)
    assert 'database' in refused(write_conf(folder, {'database': {'connection': url}}))


@pytest.mark.parametrize('host', ['0.0.0.0', '::', '192.0.2.1'])
def test_noauth_for_the_world_is_refused(folder, host):
    conf = upgraded(write_conf(folder, {'api': {'auth_strategy': 'noauth', 'bind_host': host}}))
    line = refused(conf)
    assert '[api] bind_host' in line
    assert 'noauth' in line


def test_a_port_in_use_is_named(folder):
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(upgraded(write_conf(folder, {'api': {'bind_port': port}})), executed)
    assert '[api] bind_host, bind_port' in line
    assert str(port) in line


def test_behind_keystone_without_its_options_km_does_not_start(folder):
    line = refused(upgraded(write_conf(folder, {'api': {'auth_strategy': 'keystone'}})))
    assert 'keystone_authtoken' in line
