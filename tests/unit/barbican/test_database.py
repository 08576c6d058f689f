# SPDX-License-Identifier: Apache-2.0
"""Reading a Barbican database, of whichever release, and never writing."""
import pytest
import sqlalchemy as sa

from km.barbican import tables
from km.barbican.database import Database
from km.errors import Misconfigured, Unavailable


def test_all_rows_come_in_pages_and_are_counted_without_the_deleted(old, database):
    ids = sorted(old.add(tables.SECRETS, deleted=number == 2, name=str(number)) for number in range(5))
    pages = list(database.pages(tables.SECRETS, 2))
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [row.id for page in pages for row in page] == ids
    assert database.count(tables.SECRETS) == 4


def test_rows_are_found_by_what_they_belong_to_without_the_deleted(old, database):
    kept = [old.add(tables.SECRET_USER_METADATA, secret_id=of, key='k') for of in ('a', 'a', 'b')]
    old.add(tables.SECRET_USER_METADATA, secret_id='a', deleted=True)
    found = database.of(tables.SECRET_USER_METADATA, 'secret_id', ['a', 'c', None, 'a'])
    assert {of: {row.id for row in rows} for of, rows in found.items()} == {'a': set(kept[:2])}
    assert database.of(tables.SECRET_USER_METADATA, 'secret_id', []) == {}


def test_what_an_older_barbican_had_not_yet_reads_as_nothing(old):
    old.add(tables.SECRETS, name='old')
    old.run('ALTER TABLE secrets DROP COLUMN creator_id')
    old.run('ALTER TABLE kek_data DROP COLUMN deleted')
    old.run('DROP TABLE secret_consumer_metadata')
    older = Database(old.url)
    (row,), = older.pages(tables.SECRETS, 5)
    assert (row.name, row.creator_id) == ('old', None)
    assert older.of(tables.SECRET_CONSUMERS, 'secret_id', [row.id]) == {}
    assert older.count(tables.SECRET_CONSUMERS) == 0
    assert older.of(tables.KEK_DATA, 'id', ['x']) == {}
    older.close()


def test_nothing_can_be_written(database):
    with (pytest.raises(sa.exc.OperationalError, match='readonly'),
          database._engine.begin() as connection):
        connection.exec_driver_sql('DELETE FROM secrets')


@pytest.mark.parametrize('url', ['nonsense', 'unknown://db/barbican', 'sqlite://', 'sqlite:////no/file'])
def test_a_url_of_no_database_is_refused(url):
    with pytest.raises(Misconfigured, match='Barbican database'):
        Database(url)


def test_another_services_database_is_refused(folder):
    engine = sa.create_engine(f'sqlite:///{folder}/other.sqlite')
    with engine.begin() as connection:
        connection.exec_driver_sql('CREATE TABLE other (id INTEGER)')
    with pytest.raises(Misconfigured, match="no table 'projects'"):
        Database(f'sqlite:///{folder}/other.sqlite')


def test_a_database_that_does_not_answer_is_said_to_be_one_without_its_password(folder):
    (folder / 'not.sqlite').write_text('this is no database, ' * 100)
    for url in (f'sqlite:///{folder}/not.sqlite', 'mysql+pymysql://km:hidden@127.0.0.1:1/barbican'):
        with pytest.raises(Unavailable, match='does not answer') as caught:
            Database(url)
        assert 'hidden' not in repr(caught.value)


def test_one_that_goes_away_meanwhile_is_unavailable(old, database):
    old.run('DROP TABLE secrets')
    with pytest.raises(Unavailable, match=r'does not answer \(OperationalError\)'):
        list(database.pages(tables.SECRETS, 5))
