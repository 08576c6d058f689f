# SPDX-License-Identifier: Apache-2.0
"""The tables of the metadata database, as plain declarations.

Times are UTC without a zone, to the microsecond. Ids are lower-case UUIDs. There is no column here
that could hold a payload, and a test keeps it so.
"""
import sqlalchemy as sa
from sqlalchemy import Column
from sqlalchemy.dialects import mysql

Time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')
#: Names, ids and keys compare byte by byte; the other databases do so by default.
Text = sa.String(255).with_variant(mysql.VARCHAR(255, collation='utf8mb4_bin'), 'mysql', 'mariadb')
Id = sa.String(36)

#: The states of a secret. Only an active one exists for clients.
STORING, ACTIVE, DELETING = 'STORING', 'ACTIVE', 'DELETING'

#: What an ACL belongs to.
SECRET = 'secret'

METADATA = sa.MetaData(naming_convention={
    'pk': 'pk_%(table_name)s', 'ix': 'ix_%(table_name)s_%(column_0_N_name)s',
    'uq': 'uq_%(table_name)s_%(column_0_N_name)s', 'fk': 'fk_%(table_name)s_%(column_0_N_name)s'})

#: Indexes for the totals of lists: name, columns, and of which secrets.
COUNTED = (
    ('ix_secrets_open_lasting', ('project_id',),
     "status = 'ACTIVE' AND project_access AND expiration IS NULL"),
    ('ix_secrets_open_running', ('project_id', 'expiration'),
     "status = 'ACTIVE' AND project_access AND expiration IS NOT NULL"),
    ('ix_secrets_private', ('project_id', 'creator_id'),
     "status = 'ACTIVE' AND NOT project_access"),
)

#: A secret, with the head of its ACL.
#:
#: ``store`` and ``reference`` say where the payload is; both are null while there is none.
#: ``intent`` marks work on a store that has begun and is not recorded as done: a random number that
#: only the process at work knows, so that one taken for dead cannot finish what was undone.
SECRETS = sa.Table(
    'secrets', METADATA,
    Column('id', Id, primary_key=True),
    Column('project_id', Text, nullable=False),
    Column('creator_id', Text),
    Column('status', sa.String(16), nullable=False),
    Column('name', Text),
    Column('secret_type', sa.String(16), nullable=False),
    Column('algorithm', Text),
    Column('mode', Text),
    Column('bit_length', sa.Integer),
    Column('content_type', Text),
    Column('expiration', Time),
    Column('created', Time, nullable=False),
    Column('updated', Time, nullable=False),
    Column('store', Text),
    Column('reference', sa.String(4096)),
    Column('intent', sa.String(32)),
    Column('intent_at', Time),
    Column('project_access', sa.Boolean, nullable=False),
    Column('acl_created', Time),
    Column('acl_updated', Time),
    sa.Index(None, 'project_id', 'created', 'id'),
    # The totals of lists are counted in these three alone, where the database has partial indexes.
    *(sa.Index(name, *columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))
      for name, columns, where in COUNTED),
    sa.Index(None, 'expiration'),
    sa.Index(None, 'intent_at'),
)

#: The keys and values that users tie to a secret.
SECRET_METADATA = sa.Table(
    'secret_metadata', METADATA,
    Column('secret_id', Id, sa.ForeignKey('secrets.id', ondelete='CASCADE'), primary_key=True),
    Column('key', Text, primary_key=True),
    Column('value', Text, nullable=False),
)

#: The users who may read a thing by its ACL. ``kind`` is what ``object_id`` is the id of.
ACL_USERS = sa.Table(
    'acl_users', METADATA,
    Column('kind', sa.String(16), primary_key=True),
    Column('object_id', Id, primary_key=True),
    Column('user_id', Text, primary_key=True),
    sa.Index(None, 'user_id', 'kind'),
)
