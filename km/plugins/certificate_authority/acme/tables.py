# SPDX-License-Identifier: Apache-2.0
"""The plugin's own database: accounts, the keys of accounts, and the answers that challenges got.

Several instances of the plugin may share one database: ``authority`` is the operator's name of each.
"""
import sqlalchemy as sa

TABLES = sa.MetaData()

_Url = sa.String(2000)

#: The account of an instance at an authority, by the URL of its directory.
#: ``url`` is unknown until it is registered; ``next_key_id`` is the key that it shall get instead.
ACCOUNTS = sa.Table(
    'acme_accounts', TABLES,
    sa.Column('authority', sa.String(255), primary_key=True),
    sa.Column('directory_sha256', sa.String(64), primary_key=True),
    sa.Column('key_id', sa.String(36), nullable=False),
    sa.Column('next_key_id', sa.String(36)),
    sa.Column('url', _Url),
)

#: Keys in a signing store. One is written down before it is made: until then it has no ``reference``
#: (JSON) and no ``public_key`` (SubjectPublicKeyInfo, DER). One that no account has is left over.
ACCOUNT_KEYS = sa.Table(
    'acme_account_keys', TABLES,
    sa.Column('key_id', sa.String(36), primary_key=True),
    sa.Column('authority', sa.String(255), nullable=False, index=True),
    sa.Column('key_store', sa.String(255), nullable=False),
    sa.Column('reference', sa.Text),
    sa.Column('public_key', sa.LargeBinary(2048)),
    sa.Column('written_at', sa.DateTime, nullable=False),
)

#: What a responder was asked to present, written down before it was asked; ``told`` is whether the
#: authority was told to look.
ANSWERS = sa.Table(
    'acme_answers', TABLES,
    sa.Column('answer_id', sa.String(36), primary_key=True),
    sa.Column('authority', sa.String(255), nullable=False),
    sa.Column('order_id', sa.String(36), nullable=False, index=True),
    sa.Column('responder', sa.String(255), nullable=False),
    sa.Column('identifier', sa.String(255), nullable=False),
    sa.Column('token', sa.String(255), nullable=False),
    sa.Column('key_authorization', sa.String(512), nullable=False),
    sa.Column('told', sa.Boolean, nullable=False),
    sa.Column('written_at', sa.DateTime, nullable=False, index=True),
)
