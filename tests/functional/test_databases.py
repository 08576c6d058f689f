# SPDX-License-Identifier: Apache-2.0
"""What km makes of real databases that hang up, deadlock, or are not there."""
import contextlib
import threading
import time
import uuid

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from km.db.engine import Database
from km.db.failures import Undone, retried
from km.db.models import ACL_USERS, METADATA
from km.errors import Unavailable
from km.plugins.database import PluginDatabase
from km.plugins.secret_store import ciphertexts
from tests.functional.assertions import with_keystone
from tests.functional.km_server import new_text

NUMBERS = sa.table('numbers', sa.column('id'), sa.column('value'))


@pytest.fixture(params=['postgresql', 'mariadb'])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def database(server):
    """A database with a table of two numbers, both 0."""
    opened = Database(server.create_database(f'km_{uuid.uuid4().hex}'))
    with opened.statement() as connection:
        connection.exec_driver_sql(
            'CREATE TABLE numbers (id INTEGER PRIMARY KEY, value INTEGER NOT NULL)')
        connection.execute(NUMBERS.insert(), [{'id': 1, 'value': 0}, {'id': 2, 'value': 0}])
    yield opened
    opened.close()


def values(database):
    with database.statement() as connection:
        return connection.execute(sa.select(NUMBERS.c.value).order_by(NUMBERS.c.id)).scalars().all()


def add_one(connection, number):
    connection.execute(NUMBERS.update().where(NUMBERS.c.id == number).values(
        value=NUMBERS.c.value + 1))


def test_connections_that_died_while_idle_are_noticed_before_anything_is_lost(database, server):
    several = [database.statement() for _ in range(3)]
    for connection in several:
        connection.close()
    server.hang_up()
    time.sleep(0.1)
    for _ in several:
        with database.statement() as connection:
            add_one(connection, 1)
    assert values(database) == [3, 0]


def test_a_read_that_loses_its_connection_is_undone(database, server):
    with database.statement() as connection:
        server.hang_up()
        with pytest.raises(Undone):
            connection.execute(sa.select(NUMBERS))


def test_a_write_by_itself_that_loses_its_connection_may_have_been_done(database, server):
    with database.statement() as connection:
        server.hang_up()
        with pytest.raises(Unavailable) as failure:
            add_one(connection, 1)
    assert not isinstance(failure.value, Undone)


def test_a_commit_that_loses_its_connection_may_have_been_done(database, server):
    def lose_at_commit():
        with database.transaction() as connection:
            add_one(connection, 1)
            server.hang_up()

    with pytest.raises(Unavailable) as failure:
        lose_at_commit()
    assert not isinstance(failure.value, Undone)


def test_a_transaction_that_loses_its_connection_before_its_commit_is_done_anew(database, server):
    begun = []

    @retried
    def work():
        with database.transaction() as connection:
            begun.append(connection)
            add_one(connection, 1)
            if len(begun) == 1:
                server.hang_up()
            add_one(connection, 2)

    work()
    assert len(begun) == 2
    assert values(database) == [1, 1]


@pytest.mark.parametrize('nested', [False, True])
def test_of_two_transactions_in_a_deadlock_both_are_done_in_the_end(database, nested):
    both, begun = threading.Barrier(2), []

    @retried
    def work(first, second):
        with database.transaction() as connection:
            begun.append(first)
            add_one(connection, first)
            if len(begun) <= 2:
                both.wait(10)
            with connection.begin_nested() if nested else contextlib.nullcontext():
                add_one(connection, second)

    threads = [threading.Thread(target=work, args=order) for order in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) > 2
    assert values(database) == [2, 2]


def test_the_migrations_make_the_tables_that_the_models_declare(database):
    database.upgrade()
    with database.engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), METADATA)
    assert [change for change in found if change[1].name != 'numbers'] == []


def test_every_text_of_km_on_mariadb_compares_byte_by_byte_and_all_but_pem_is_unicode(mariadb):
    database = Database(mariadb.create_database(f'km_{uuid.uuid4().hex}'))
    database.upgrade()
    with database.statement() as connection:
        found = connection.exec_driver_sql(
            'SELECT DISTINCT collation_name, column_name FROM information_schema.columns '
            'WHERE table_schema = DATABASE() AND collation_name IS NOT NULL').tuples().all()
    of_ascii = {name for collation, name in found if collation == 'ascii_bin'}
    assert {collation for collation, _ in found} == {'utf8mb4_nopad_bin', 'ascii_bin'}
    assert of_ascii == {'certificate', 'chain', 'csr', 'serial', 'fingerprint'}
    database.close()


#: To a language they are one name, to km they are not.
ALIKE = ('ann', 'Ann', 'ann ', 'änn')


def test_names_that_are_alike_are_different_names(database):
    database.upgrade()
    with database.statement() as connection:
        connection.execute(ACL_USERS.insert(), [
            {'kind': 'secret', 'object_id': 'id', 'user_id': name} for name in ALIKE])
        for name in ALIKE:
            found = connection.execute(sa.select(ACL_USERS.c.user_id).where(
                ACL_USERS.c.user_id == name)).scalars().all()
            assert found == [name]


def test_projects_that_are_alike_have_keys_of_their_own(server):
    database = PluginDatabase(
        server.create_database(f'km_{uuid.uuid4().hex}'), ciphertexts.TABLES, name='secret store',
        max_connections=1, seconds=20)
    for number, name in enumerate(ALIKE):
        database.run(ciphertexts.INSERT_KEY, project_id=name, generation=1, key_id=str(number),
                     wrapped=b'key')
    for number, name in enumerate(ALIKE):
        assert database.one(ciphertexts.NEWEST_KEY, project_id=name).key_id == str(number)
    database.close()


def test_what_does_not_fit_is_refused_and_never_cut(server):
    database = Database(server.create_database('narrow'))
    with database.statement() as connection:
        connection.exec_driver_sql('CREATE TABLE narrow (text VARCHAR(3))')
        with pytest.raises(sa.exc.DataError):
            connection.exec_driver_sql("INSERT INTO narrow VALUES ('long')")
    database.close()


def test_a_server_that_is_not_there_is_unavailable(server):
    url = sa.make_url(server.create_database('nowhere')).set(port=1)
    with pytest.raises(Unavailable):
        Database(url.render_as_string(hide_password=False)).statement()


@with_keystone
def test_clients_do_not_notice_that_every_connection_of_an_idle_km_was_ended(km):
    payload = new_text()
    path = km.secret(payload)
    for _ in range(3):
        km.databases.hang_up()
        time.sleep(0.1)
        assert km.get(path + '/payload', Accept='text/plain').text == payload
        assert km.get(km.secret()).status_code == 200
