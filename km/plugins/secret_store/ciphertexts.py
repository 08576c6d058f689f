# SPDX-License-Identifier: Apache-2.0
"""The ciphertext database of an ``EnvelopeStore``: its tables and its statements, built once, here.

Every statement stands alone, and is committed by itself; see ``km.plugins.database``.
"""
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.dialects import mysql

TABLES = sa.MetaData()

#: A project's id, compared byte by byte, as databases other than MariaDB do by default.
_Project = sa.String(255).with_variant(
    mysql.VARCHAR(255, collation='utf8mb4_nopad_bin'), 'mysql', 'mariadb')


def _blobs(name: str) -> sa.Table:
    return sa.Table(
        name, TABLES,
        sa.Column('secret_id', sa.String(36), primary_key=True),
        sa.Column('version', sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column('blob', sa.LargeBinary(2 ** 24), nullable=False))


BLOBS = _blobs('blobs')
#: Keys that sign here and are never given out.
SIGNING_KEYS = _blobs('signing_keys')
PROJECT_KEYS = sa.Table(
    'project_keys', TABLES,
    sa.Column('project_id', _Project, primary_key=True),
    sa.Column('generation', sa.Integer, primary_key=True, autoincrement=False),
    sa.Column('key_id', sa.String(64), nullable=False, index=True),
    sa.Column('wrapped', sa.LargeBinary(1024), nullable=False),
)

_of_project = PROJECT_KEYS.c.project_id == bindparam('project_id')
_not_under = PROJECT_KEYS.c.key_id != bindparam('key_id')
_newest_generation = sa.select(sa.func.max(PROJECT_KEYS.c.generation)).where(
    _of_project).scalar_subquery()


class Place(NamedTuple):
    """The statements on a table of blobs.

    :param insert: adds nothing unless ``generation`` is still that of the project's newest key.
    :param replace: puts ``new`` in the place of ``old``, if that is still there.
    """

    get: Any
    find: Any
    first: Any
    next: Any
    insert: Any
    replace: Any
    delete: Any


def _place(table: sa.Table) -> Place:
    of_secret = table.c.secret_id == bindparam('secret_id')
    of_blob = sa.and_(of_secret, table.c.version == bindparam('version'))
    in_order = sa.select(table.c.secret_id, table.c.version).order_by(
        table.c.secret_id, table.c.version).limit(bindparam('page'))
    values = [bindparam(column.name, None, column.type) for column in table.c]
    return Place(
        get=sa.select(table.c.blob).where(of_blob),
        find=sa.select(table.c.version).where(of_secret).limit(1),
        first=in_order,
        next=in_order.where(sa.or_(table.c.secret_id > bindparam('secret_id'), sa.and_(
            of_secret, table.c.version > bindparam('version')))),
        insert=table.insert().from_select(
            list(table.c), sa.select(*values).where(_newest_generation == bindparam('generation'))
        ).execution_options(preserve_rowcount=True),  # psycopg's cursor forgets it otherwise
        replace=table.update().where(
            table.c.secret_id == bindparam('of'), table.c.version == bindparam('at'),
            table.c.blob == bindparam('old')).values(blob=bindparam('new')),
        delete=table.delete().where(of_blob))


PAYLOADS = _place(BLOBS)
SIGNING = _place(SIGNING_KEYS)

GET_KEY = PROJECT_KEYS.select().where(
    _of_project, PROJECT_KEYS.c.generation == bindparam('generation'))
NEWEST_KEY = PROJECT_KEYS.select().where(_of_project).order_by(
    PROJECT_KEYS.c.generation.desc()).limit(1)
INSERT_KEY = PROJECT_KEYS.insert()
DELETE_KEYS = PROJECT_KEYS.delete().where(
    _of_project, PROJECT_KEYS.c.generation <= bindparam('until'),
    PROJECT_KEYS.c.generation.not_in(bindparam('kept', expanding=True)))
#: The generations of keys that seal keys which sign, as they stand in the headers of blobs.
SIGNING_GENERATIONS = sa.select(
    sa.func.substr(SIGNING_KEYS.c.blob, 6, 4, type_=sa.LargeBinary).label('generation')).distinct()
KEYS_NOT_UNDER = PROJECT_KEYS.select().where(_not_under).order_by(
    PROJECT_KEYS.c.project_id, PROJECT_KEYS.c.generation).limit(bindparam('page'))
COUNT_KEYS_NOT_UNDER = sa.select(sa.func.count().label('waiting')).select_from(
    PROJECT_KEYS).where(_not_under)
REWRAP = PROJECT_KEYS.update().where(
    PROJECT_KEYS.c.project_id == bindparam('of'), PROJECT_KEYS.c.generation == bindparam('at'),
    PROJECT_KEYS.c.key_id == bindparam('was'))

KEYS_UNDER = PROJECT_KEYS.select().where(PROJECT_KEYS.c.key_id == bindparam('key_id')).order_by(
    PROJECT_KEYS.c.project_id, PROJECT_KEYS.c.generation).limit(bindparam('page'))

_first = PROJECT_KEYS.alias()
ONE_KEY_OF_EACH_MASTER = PROJECT_KEYS.select().where(~sa.exists().where(
    _first.c.key_id == PROJECT_KEYS.c.key_id,
    sa.tuple_(_first.c.project_id, _first.c.generation)
    < sa.tuple_(PROJECT_KEYS.c.project_id, PROJECT_KEYS.c.generation)))
