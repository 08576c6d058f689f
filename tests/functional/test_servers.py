# SPDX-License-Identifier: Apache-2.0
"""The servers that the functional tests stand on are real."""

import contextlib
import os
import socketserver
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy
from keystoneauth1.exceptions import Unauthorized

from tests.functional.mariadb_server import mariadb as run_mariadb
from tests.functional.postgresql_server import postgresql as run_postgresql
from tests.functional.rabbitmq_server import rabbitmq as run_rabbitmq
from tests.functional.servers import reserved_port


@pytest.fixture(scope='module', params=['postgresql', 'mariadb'])
def database_server(request):
    return request.getfixturevalue(request.param)


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


def working_folders():
    """Give the folder that each process there is works in."""
    found = set()
    for process in Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):
            found.add(os.readlink(process / 'cwd'))
    return found


def test_a_new_database_is_empty_and_is_what_its_server_claims(database_server):
    engine = sqlalchemy.create_engine(database_server.create_database('empty'))
    with engine.connect() as connection:
        version = connection.scalar(sqlalchemy.text('SELECT version()'))
    assert type(database_server).__name__ in version
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


def test_a_dump_has_what_is_in_a_database_and_bytes_in_hexadecimal(database_server):
    engine = sqlalchemy.create_engine(database_server.create_database('dumped'))
    table = sqlalchemy.Table(
        'pages', sqlalchemy.MetaData(), sqlalchemy.Column('page', sqlalchemy.LargeBinary))
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(table.insert(), {'page': b'\0\xffpage'})
    engine.dispose()
    assert b'00FF70616765' in database_server.dump('dumped').upper()


def test_the_database_server_wants_its_password(database_server):
    url = sqlalchemy.make_url(database_server.create_database('locked')).set(password='wrong')
    refusal = 'password authentication failed|Access denied'
    with pytest.raises(sqlalchemy.exc.OperationalError, match=refusal):
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


def test_passwords_are_in_no_command_line_and_in_no_repr(identity, database_server, rabbitmq):
    passwords = [identity.user(name).password for name in ('admin', 'km')]
    passwords += [database_server.password, rabbitmq.password]
    shown = [*command_lines(), *map(repr, (identity.user('km'), database_server, rabbitmq))]
    assert not [text for text in shown for password in passwords if password in text]


@pytest.mark.parametrize('start', [run_postgresql, run_mariadb, run_rabbitmq])
def test_a_stopped_server_leaves_no_process(start, tmp_path):
    before = working_folders()
    with start(tmp_path):
        (home,) = {folder for folder in working_folders() - before if '/km-' in folder}
    assert not [folder for folder in working_folders() if folder.startswith(home)]


def test_a_reserved_port_is_still_free_for_the_server_it_is_meant_for():
    with (
        reserved_port() as port,
        socketserver.TCPServer(('127.0.0.1', port), None, bind_and_activate=False) as server,
    ):
        server.allow_reuse_address = True
        server.server_bind()
        server.server_activate()
        assert server.server_address[1] == port
