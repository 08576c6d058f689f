# SPDX-License-Identifier: Apache-2.0
"""The ciphertext database of an ``EnvelopeStore``: its tables, its statements, its engine.

Every statement stands alone, so the engine commits each by itself. Statements are built once, here.
"""
import contextlib
import logging
import select

import sqlalchemy as sa
from sqlalchemy import bindparam, event
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import (
    DBAPIError,
    DisconnectionError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
)

from km.interfaces import Unavailable

LOG = logging.getLogger(__name__)

#: The age at which an idle connection is replaced: sooner than servers and firewalls forget it.
_RECYCLE_SECONDS = 3600

_metadata = sa.MetaData()

#: A project's id, compared byte by byte, as databases other than MariaDB do by default.
_Project = sa.String(255).with_variant(
    mysql.VARCHAR(255, collation='utf8mb4_nopad_bin'), 'mysql', 'mariadb')

BLOBS = sa.Table(
    'blobs', _metadata,
    sa.Column('secret_id', sa.String(36), primary_key=True),
    sa.Column('version', sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column('blob', sa.LargeBinary(2 ** 24), nullable=False),
)
PROJECT_KEYS = sa.Table(
    'project_keys', _metadata,
    sa.Column('project_id', _Project, primary_key=True),
    sa.Column('generation', sa.Integer, primary_key=True, autoincrement=False),
    sa.Column('key_id', sa.String(64), nullable=False, index=True),
    sa.Column('wrapped', sa.LargeBinary(1024), nullable=False),
)

_of_secret = BLOBS.c.secret_id == bindparam('secret_id')
_of_version = BLOBS.c.version == bindparam('version')
_of_project = PROJECT_KEYS.c.project_id == bindparam('project_id')
_not_under = PROJECT_KEYS.c.key_id != bindparam('key_id')

GET = sa.select(BLOBS.c.blob).where(_of_secret, _of_version)
FIND = sa.select(BLOBS.c.version).where(_of_secret).limit(1)
_ALL = sa.select(BLOBS.c.secret_id, BLOBS.c.version).order_by(
    BLOBS.c.secret_id, BLOBS.c.version).limit(bindparam('page'))
FIRST = _ALL
NEXT = _ALL.where(sa.or_(BLOBS.c.secret_id > bindparam('secret_id'), sa.and_(
    _of_secret, BLOBS.c.version > bindparam('version'))))
INSERT = BLOBS.insert()
DELETE = BLOBS.delete().where(_of_secret, _of_version)

GET_KEY = PROJECT_KEYS.select().where(
    _of_project, PROJECT_KEYS.c.generation == bindparam('generation'))
NEWEST_KEY = PROJECT_KEYS.select().where(_of_project).order_by(
    PROJECT_KEYS.c.generation.desc()).limit(1)
INSERT_KEY = PROJECT_KEYS.insert()
KEYS_NOT_UNDER = PROJECT_KEYS.select().where(_not_under).order_by(
    PROJECT_KEYS.c.project_id, PROJECT_KEYS.c.generation).limit(bindparam('page'))
COUNT_KEYS_NOT_UNDER = sa.select(sa.func.count().label('waiting')).select_from(
    PROJECT_KEYS).where(_not_under)
REWRAP = PROJECT_KEYS.update().where(
    PROJECT_KEYS.c.project_id == bindparam('of'), PROJECT_KEYS.c.generation == bindparam('at'),
    PROJECT_KEYS.c.key_id == bindparam('was'))

_first = PROJECT_KEYS.alias()
ONE_KEY_OF_EACH_MASTER = PROJECT_KEYS.select().where(~sa.exists().where(
    _first.c.key_id == PROJECT_KEYS.c.key_id,
    sa.tuple_(_first.c.project_id, _first.c.generation)
    < sa.tuple_(PROJECT_KEYS.c.project_id, PROJECT_KEYS.c.generation)))


def connect(url: str, max_connections: int) -> sa.Engine:
    """An engine on the ciphertext database, with its tables in place.

    :raises sqlalchemy.exc.ArgumentError: ``url`` is no database URL.
    :raises Unavailable: the database does not answer.
    """
    engine = sa.create_engine(
        url, isolation_level='AUTOCOMMIT', hide_parameters=True, pool_size=max_connections,
        max_overflow=0, pool_recycle=_RECYCLE_SECONDS, pool_use_lifo=True,
        skip_autocommit_rollback=True)
    if engine.dialect.name == 'sqlite':
        event.listen(engine, 'connect', _durable)
    else:
        event.listen(engine, 'checkout', _refuse_dead)
    try:
        _create_tables(engine)
    except DBAPIError as error:
        raise Unavailable(f'The ciphertext database does not answer ({error.orig}).') from None
    event.listen(engine, 'handle_error', _unavailable)
    return engine


def _create_tables(engine: sa.Engine) -> None:
    """Create what is not there. Each failure may be another process that was faster with one table."""
    for _ in _metadata.sorted_tables:
        with contextlib.suppress(IntegrityError, ProgrammingError, OperationalError):
            return _metadata.create_all(engine)
    return _metadata.create_all(engine)


def _refuse_dead(connection, _record, _proxy) -> None:
    """Notice that the server hung up while a connection was idle, as ``km.db.engine`` does."""
    idle = select.poll()
    idle.register(getattr(connection, '_sock', connection), select.POLLIN)  # PyMySQL's, or psycopg's
    if idle.poll(0):
        raise DisconnectionError


def _unavailable(context) -> None:
    if isinstance(context.sqlalchemy_exception, DBAPIError) and not isinstance(
            context.sqlalchemy_exception, IntegrityError | ProgrammingError):
        LOG.warning('The ciphertext database failed: %s', context.original_exception)
        raise Unavailable('The secret store cannot reach its database.') from None


def _durable(connection, _record) -> None:
    connection.execute('PRAGMA busy_timeout=30000')
    connection.execute('PRAGMA journal_mode=WAL')
    connection.execute('PRAGMA synchronous=FULL')
