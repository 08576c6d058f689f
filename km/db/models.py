# SPDX-License-Identifier: Apache-2.0
"""The tables of the metadata database, as plain declarations.

Times are UTC without a zone, to the microsecond. Ids are lower-case UUIDs. There is no column here
that could hold a payload, and a test keeps it so.
"""
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, mapped_column

Time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')
#: Names, ids and keys compare byte by byte; the other databases do so by default.
Text = sa.String(255).with_variant(mysql.VARCHAR(255, collation='utf8mb4_bin'), 'mysql', 'mariadb')
Id = sa.String(36)

#: The states of a secret. Only an active one exists for clients.
STORING, ACTIVE, DELETING = 'STORING', 'ACTIVE', 'DELETING'

#: What an ACL or a consumer belongs to.
SECRET = 'secret'


class Base(DeclarativeBase):
    metadata = sa.MetaData(naming_convention={
        'pk': 'pk_%(table_name)s', 'ix': 'ix_%(table_name)s_%(column_0_N_name)s',
        'uq': 'uq_%(table_name)s_%(column_0_N_name)s',
        'fk': 'fk_%(table_name)s_%(column_0_N_name)s'})


class Secret(Base):
    """A secret's metadata, with the head of its ACL.

    ``store`` and ``reference`` say where the payload is; both are null while there is none.
    ``intent`` marks work on a store that has begun and is not recorded as done: a random number that
    only the process at work knows, so that one taken for dead cannot finish what was undone.
    """

    __tablename__ = 'secrets'

    id = mapped_column(Id, primary_key=True)
    project_id = mapped_column(Text, nullable=False)
    creator_id = mapped_column(Text)
    status = mapped_column(sa.String(16), nullable=False)
    name = mapped_column(Text)
    secret_type = mapped_column(sa.String(16), nullable=False)
    algorithm = mapped_column(Text)
    mode = mapped_column(Text)
    bit_length = mapped_column(sa.Integer)
    content_type = mapped_column(Text)
    expiration = mapped_column(Time)
    created = mapped_column(Time, nullable=False)
    updated = mapped_column(Time, nullable=False)
    store = mapped_column(Text)
    reference = mapped_column(sa.String(4096))
    intent = mapped_column(sa.String(32))
    intent_at = mapped_column(Time)
    project_access = mapped_column(sa.Boolean, nullable=False, default=True)
    acl_created = mapped_column(Time)
    acl_updated = mapped_column(Time)

    __table_args__ = (
        sa.Index('ix_secrets_project_id_created_id', 'project_id', 'created', 'id'),
        sa.Index('ix_secrets_expiration', 'expiration'),
        sa.Index('ix_secrets_intent_at', 'intent_at'),
    )


class SecretMetadatum(Base):
    """A key and a value a user tied to a secret."""

    __tablename__ = 'secret_metadata'

    secret_id = mapped_column(
        sa.ForeignKey('secrets.id', ondelete='CASCADE'), primary_key=True)
    key = mapped_column(Text, primary_key=True)
    value = mapped_column(Text, nullable=False)


class AclUser(Base):
    """A user who may read a thing by its ACL. ``kind`` is what ``object_id`` is the id of."""

    __tablename__ = 'acl_users'

    kind = mapped_column(sa.String(16), primary_key=True)
    object_id = mapped_column(Id, primary_key=True)
    user_id = mapped_column(Text, primary_key=True)

    __table_args__ = (sa.Index('ix_acl_users_user_id_kind', 'user_id', 'kind'),)
