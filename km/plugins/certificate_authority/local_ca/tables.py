# SPDX-License-Identifier: Apache-2.0
"""The database of a Local CA: its tables. Times are UTC without a zone, of whole seconds.

A *signer* is whoever signs here: an authority (root, issuing, subordinate) signs certificates and CRLs,
a responder signs OCSP answers. Each is a key and a certificate, and has successors by generation.
"""
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

TABLES = sa.MetaData()

_Id = sa.String(36)
_Words = sa.String(255).with_variant(
    mysql.VARCHAR(255, collation='utf8mb4_nopad_bin'), 'mysql', 'mariadb')
_Document = sa.LargeBinary(2 ** 24)

#: Whether a signer's certificate is yet to be made, or to be brought from elsewhere; whether its
#: successors sign the new certificates; whether it signs no more.
INTENDED, REQUESTED, CURRENT, SUPERSEDED, REMOVED = (
    'intended', 'requested', 'current', 'superseded', 'removed')

ROOT, ISSUING, SUBORDINATE, RESPONDER = 'root', 'issuing', 'subordinate', 'responder'

#: ``named`` is a digest of the subject as names are compared: no two signers are one to a stranger.
#: ``version`` counts the changes of the status of its certificates.
SIGNERS = sa.Table(
    'signers', TABLES,
    sa.Column('id', _Id, primary_key=True),
    sa.Column('authority', _Words, nullable=False),
    sa.Column('generation', sa.Integer, nullable=False),
    sa.Column('role', sa.String(16), nullable=False),
    sa.Column('parent_id', _Id, index=True),
    sa.Column('project_id', _Words),
    sa.Column('subject', _Document, nullable=False),
    sa.Column('named', sa.String(64), unique=True),
    sa.Column('state', sa.String(16), nullable=False, index=True),
    sa.Column('key_id', _Id),
    sa.Column('certificate', _Document),
    sa.Column('chain', _Document, nullable=False),
    sa.Column('not_after', sa.DateTime),
    sa.Column('version', sa.BigInteger, nullable=False),
    sa.UniqueConstraint('authority', 'generation'),
)

#: A row is written before its key is made, and has no reference until it is.
KEYS = sa.Table(
    'keys', TABLES,
    sa.Column('id', _Id, primary_key=True),
    sa.Column('store', _Words, nullable=False),
    sa.Column('reference', sa.Text),
    sa.Column('public_key', _Document),
    sa.Column('created_at', sa.DateTime, nullable=False),
)

#: ``draft`` is the certificate without its signature, until it has that. ``listed`` says whether it is
#: on CRLs when it is revoked; ``changed`` is its issuer's version when its status changed.
CERTIFICATES = sa.Table(
    'certificates', TABLES,
    sa.Column('issuer_id', _Id, primary_key=True),
    sa.Column('serial', sa.String(40), primary_key=True),
    sa.Column('order_id', _Id, nullable=False, unique=True),
    sa.Column('draft', _Document),
    sa.Column('certificate', _Document),
    sa.Column('key_digest', sa.String(64), nullable=False, index=True),
    sa.Column('not_after', sa.DateTime, nullable=False, index=True),
    sa.Column('listed', sa.Boolean, nullable=False),
    sa.Column('revoked_at', sa.DateTime),
    sa.Column('reason', sa.String(32)),
    sa.Column('invalidity_date', sa.DateTime),
    sa.Column('changed', sa.BigInteger, nullable=False),
    sa.Index('certificates_changed', 'issuer_id', 'changed'),
)

#: ``version`` is the issuer's when the entries were read.
CRLS = sa.Table(
    'crls', TABLES,
    sa.Column('issuer_id', _Id, primary_key=True),
    sa.Column('number', sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column('base_number', sa.BigInteger),
    sa.Column('version', sa.BigInteger, nullable=False),
    sa.Column('content', sa.LargeBinary(2 ** 26), nullable=False),
    sa.Column('this_update', sa.DateTime, nullable=False),
    sa.Column('next_update', sa.DateTime, nullable=False),
)
