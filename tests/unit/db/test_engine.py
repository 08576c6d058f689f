# SPDX-License-Identifier: Apache-2.0
"""The metadata database: its schema's version, and failures in words for an operator."""
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from km.db.engine import Database, head
from km.db.models import METADATA
from km.errors import Misconfigured, Unavailable


@pytest.fixture
def url(folder):
    return f'sqlite:///{folder}/km.sqlite'


def test_the_migrations_make_the_tables_that_the_models_declare(url):
    database = Database(url)
    database.upgrade()
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_upgrading_twice_is_once(url):
    database = Database(url)
    database.upgrade()
    database.upgrade()
    assert database.current() == head()
    database.require_schema()


def test_no_column_could_hold_a_payload():
    kinds = {type(column.type) for table in METADATA.tables.values() for column in table.columns}
    assert not any(issubclass(kind, sa.LargeBinary | sa.Text) and kind is not sa.String
                   for kind in kinds)
    assert {'payload', 'ciphertext', 'blob', 'key_material'}.isdisjoint(
        column.name for table in METADATA.tables.values() for column in table.columns)


def test_an_empty_database_is_refused_with_the_command_to_run(url):
    with pytest.raises(Misconfigured, match=r'empty\. Run "km-manage db upgrade"'):
        Database(url).require_schema()


def test_the_schema_of_something_else_is_refused(url):
    database = Database(url)
    with database.engine.begin() as connection:
        connection.exec_driver_sql('CREATE TABLE alembic_version (version_num VARCHAR(32))')
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('another')")
    with pytest.raises(Misconfigured, match='version another is unknown'):
        database.require_schema()


@pytest.mark.parametrize('bad', ['nonsense', 'nonsense://x/y', 'mysql+nodriver://u:secret@x/y'])
def test_a_url_that_is_none_is_named_without_its_text(bad):
    with pytest.raises(Misconfigured, match=r'\[database\] connection') as failure:
        Database(bad)
    assert 'secret' not in failure.value.sentence


def test_a_database_that_cannot_be_reached_is_unavailable(folder):
    with pytest.raises(Unavailable), Database(f'sqlite:///{folder}/no/km.sqlite').statement():
        pass


def test_a_transaction_that_fails_leaves_nothing(url):
    database = Database(url)
    with database.transaction() as connection:
        connection.exec_driver_sql('CREATE TABLE t (x INTEGER)')

    def fail():
        with database.transaction() as connection:
            connection.exec_driver_sql('INSERT INTO t VALUES (1)')
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.statement() as connection:
        assert connection.exec_driver_sql('SELECT count(*) FROM t').scalar() == 0


@pytest.mark.parametrize(('url', 'same'), [
    ('postgresql+psycopg://km:x@db/km', True), ('postgresql://other:y@db/km', True),
    ('postgresql://km:x@DB:5432/km', True),
    ('postgresql://km:x@db/soft', False), ('postgresql://km:x@elsewhere/km', False),
    ('postgresql://km:x@db:5433/km', False), ('sqlite:///km', False), ('nonsense', False)])
def test_it_knows_its_own_place_whoever_asks(url, same):
    assert Database('postgresql+psycopg://km:x@db/km').is_at(url) is same
