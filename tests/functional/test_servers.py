# SPDX-License-Identifier: Apache-2.0
"""The servers that the functional tests stand on are real."""

import socketserver
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy
from keystoneauth1.exceptions import Unauthorized

from tests.functional import servers
from tests.functional.servers import reserved_port


@pytest.fixture(scope='module')
def database_server(postgresql):
    return postgresql


@pytest.fixture(scope='module')
def identity(keystone):
    return keystone


def roles(identity, user):
    """Give the names of the roles that Keystone finds in a token of `user`."""
    answer = identity.session('km').get(
        f'{identity.auth_url}/auth/tokens', headers={'X-Subject-Token': identity.token(user)}
    )
    return {role['name'] for role in answer.json()['token']['roles']}


def command_lines():
    """Give the command line of every process there is, as `ps` would show it."""
    for process in Path('/proc').glob('[0-9]*'):
        try:
            yield (process / 'cmdline').read_bytes().decode(errors='replace')
        except OSError:
            continue


def test_a_new_database_is_empty_and_is_postgresql(database_server):
    engine = sqlalchemy.create_engine(database_server.create_database('empty'))
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text('SELECT version()')).startswith('PostgreSQL')
    assert sqlalchemy.inspect(engine).get_table_names() == []
    engine.dispose()


def test_databases_do_not_share_tables(database_server):
    first, second = (
        sqlalchemy.create_engine(database_server.create_database(name))
        for name in ('first', 'second')
    )
    with first.begin() as connection:
        connection.execute(sqlalchemy.text('CREATE TABLE secrets (id integer)'))
    assert sqlalchemy.inspect(first).has_table('secrets')
    assert not sqlalchemy.inspect(second).has_table('secrets')
    first.dispose()
    second.dispose()


def test_the_database_server_wants_its_password(database_server):
    url = sqlalchemy.make_url(database_server.create_database('locked')).set(password='wrong')
    with pytest.raises(sqlalchemy.exc.OperationalError, match='password authentication failed'):
        sqlalchemy.create_engine(url).connect()


def test_a_token_is_a_fernet_token(identity):
    assert identity.token('alpha-reader').startswith('gAAAA')


@pytest.mark.parametrize(
    ('user', 'expected'),
    [
        ('alpha-reader', {'reader'}),
        ('alpha-other-member', {'member', 'reader'}),
        ('beta-member', {'member', 'reader'}),
        ('beta-admin', {'admin', 'manager', 'member', 'reader'}),
        ('km', {'service'}),
    ],
)
def test_a_token_carries_the_role_of_its_user_and_those_it_implies(identity, user, expected):
    assert roles(identity, user) == expected


def test_users_of_one_project_share_its_id_and_those_of_another_have_another(identity):
    reader, member, stranger = (
        identity.session(name).get_project_id()
        for name in ('alpha-reader', 'alpha-other-member', 'beta-reader')
    )
    assert reader == member != stranger


def test_a_wrong_password_gives_no_token(identity):
    user = identity.user('alpha-reader')
    impostor = type(user)(user.name, user.project, user.role)
    with pytest.raises(Unauthorized):
        identity.token(impostor)


def test_many_users_can_log_in_at_once(identity):
    names = ['alpha-reader', 'alpha-member', 'beta-reader', 'beta-member'] * 5
    with ThreadPoolExecutor(len(names)) as threads:
        tokens = list(threads.map(identity.token, names))
    assert len(set(tokens)) == len(names)


def test_the_catalog_names_the_key_manager_at_the_url_last_set(identity):
    before = identity.session('alpha-member').get_endpoint(service_type='key-manager')
    for url in ('http://127.0.0.1:9311', 'http://127.0.0.1:9312', before):
        identity.set_key_manager_url(url)
        session = identity.session('alpha-member')
        assert session.get_endpoint(service_type='key-manager') == url
        assert session.get_endpoint(service_type='key-manager', interface='internal') == url


def test_the_options_for_keystonemiddleware_are_those_of_the_service_user(identity):
    section = identity.authtoken_section()
    assert section['auth_url'] == identity.auth_url
    assert section['password'] == identity.user('km').password
    assert all(isinstance(value, str) for value in section.values())


def test_passwords_are_in_no_command_line_and_in_no_repr(identity, database_server):
    passwords = [identity.user(name).password for name in ('admin', 'km')]
    passwords.append(database_server.password)
    shown = [*command_lines(), repr(identity.user('km')), repr(database_server)]
    assert not [text for text in shown for password in passwords if password in text]


def test_a_stopped_server_leaves_no_process(tmp_path):
    with servers.postgresql(tmp_path) as server:
        port = str(server.port)
        assert [line for line in command_lines() if port in line.split('\0')]
    assert not [line for line in command_lines() if port in line.split('\0')]


def test_a_reserved_port_is_still_free_for_the_server_it_is_meant_for():
    with (
        reserved_port() as port,
        socketserver.TCPServer(('127.0.0.1', port), None, bind_and_activate=False) as server,
    ):
        server.allow_reuse_address = True
        server.server_bind()
        server.server_activate()
        assert server.server_address[1] == port
