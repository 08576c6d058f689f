# SPDX-License-Identifier: Apache-2.0
"""The tables of the metadata database, as plain declarations.

Times are UTC without a zone, to the microsecond. Ids are lower-case UUIDs. There is no column here
that could hold a payload, and a test keeps it so.
"""
import sqlalchemy as sa
from sqlalchemy import Column
from sqlalchemy.dialects import mysql

Time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')
#: Names, ids and keys compare byte by byte, and trailing spaces count; the other databases do so by
#: default.
Text = sa.String(255).with_variant(
    mysql.VARCHAR(255, collation='utf8mb4_nopad_bin'), 'mysql', 'mariadb')
Id = sa.String(36)


def ascii_text(length: int) -> sa.types.TypeEngine:
    """Text of ASCII letters alone. A row of MariaDB could not hold enough of the other kind."""
    return sa.String(length).with_variant(
        mysql.VARCHAR(length, charset='ascii', collation='ascii_bin'), 'mysql', 'mariadb')


#: The states of a secret. Only an active one exists for clients; one that is held is kept for an order
#: that is not fulfilled yet.
STORING, ACTIVE, DELETING, HELD = 'STORING', 'ACTIVE', 'DELETING', 'HELD'

#: The states of an order, beside ``ACTIVE``: still to be fulfilled, and given up.
PENDING, ERROR = 'PENDING', 'ERROR'

#: A secret store that no worker has enabled any more, but that something still refers to.
DISABLED = 'DISABLED'

#: What ACLs and consumers belong to.
SECRET, CONTAINER = 'secret', 'container'

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
#: ``other_store`` is set while a payload moves: nothing of it must be left there in the end, whether the
#: secret has arrived already or not.
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
    Column('other_store', Text),
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

#: A list of secrets, with the head of its ACL. All of them exist for clients, so all are active.
CONTAINERS = sa.Table(
    'containers', METADATA,
    Column('id', Id, primary_key=True),
    Column('project_id', Text, nullable=False),
    Column('creator_id', Text),
    Column('status', sa.String(16), nullable=False),
    Column('name', Text),
    Column('type', sa.String(16), nullable=False),
    Column('created', Time, nullable=False),
    Column('updated', Time, nullable=False),
    Column('project_access', sa.Boolean, nullable=False),
    Column('acl_created', Time),
    Column('acl_updated', Time),
    sa.Index(None, 'project_id', 'created', 'id'),
)

#: The secrets in a container. Names are unique in it; any number has none.
CONTAINER_SECRETS = sa.Table(
    'container_secrets', METADATA,
    Column('container_id', Id, sa.ForeignKey('containers.id', ondelete='CASCADE'), primary_key=True),
    Column('secret_id', Id, sa.ForeignKey('secrets.id', ondelete='CASCADE'), primary_key=True),
    Column('name', Text),
    sa.UniqueConstraint('container_id', 'name'),
    sa.Index(None, 'secret_id'),
)

#: Who uses a secret or a container. ``id`` is made from what it is of and what it says, so that the
#: same consumer is the same row. Of a container's, ``service`` is the name and ``resource_id`` the URL.
CONSUMERS = sa.Table(
    'consumers', METADATA,
    Column('id', Id, primary_key=True),
    Column('kind', sa.String(16), nullable=False),
    Column('object_id', Id, nullable=False),
    Column('project_id', Text, nullable=False),
    Column('service', Text, nullable=False),
    Column('resource_type', Text, nullable=False),
    Column('resource_id', Text, nullable=False),
    Column('created', Time, nullable=False),
    Column('updated', Time, nullable=False),
    sa.Index(None, 'object_id', 'created', 'id'),
    sa.Index(None, 'project_id'),
)

#: Deferred work. The row is the job: ``fence`` counts the claims, and only the worker that made the
#: last one may write the outcome; its claim is good until ``lease_until``, and then the order is due.
#: One that is not ``repeatable`` needs something that its row must not hold, such as a passphrase.
ORDERS = sa.Table(
    'orders', METADATA,
    Column('id', Id, primary_key=True),
    Column('project_id', Text, nullable=False),
    Column('creator_id', Text),
    Column('status', sa.String(16), nullable=False),
    Column('type', sa.String(16), nullable=False),
    Column('meta', sa.String(4096), nullable=False),
    Column('created', Time, nullable=False),
    Column('updated', Time, nullable=False),
    Column('secret_id', Id),
    Column('container_id', Id),
    Column('sub_status', Text),
    Column('sub_status_message', Text),
    Column('error_status_code', sa.String(3)),
    Column('error_reason', sa.String(1024)),
    Column('fence', sa.Integer, nullable=False),
    Column('attempts', sa.Integer, nullable=False),
    Column('repeatable', sa.Boolean, nullable=False),
    Column('lease_until', Time, nullable=False),
    sa.Index(None, 'project_id', 'created', 'id'),
    sa.Index(None, 'status', 'lease_until'),
)

#: What a project was given of its own. ``quotas_set`` is when; without it the defaults hold.
PROJECT_SETTINGS = sa.Table(
    'project_settings', METADATA,
    Column('project_id', Text, primary_key=True),
    Column('secrets', sa.Integer),
    Column('orders', sa.Integer),
    Column('containers', sa.Integer),
    Column('consumers', sa.Integer),
    Column('cas', sa.Integer),
    Column('quotas_set', Time),
    Column('preferred_store', Text),
)

#: The secret stores as the workers have them enabled, for clients to look at and to prefer.
SECRET_STORES = sa.Table(
    'secret_stores', METADATA,
    Column('id', Id, primary_key=True),
    Column('name', Text, nullable=False, unique=True),
    Column('plugin', Text, nullable=False),
    Column('global_default', sa.Boolean, nullable=False),
    Column('status', sa.String(16), nullable=False),
    Column('created', Time, nullable=False),
    Column('updated', Time, nullable=False),
)

#: Public keys that clients wrap payloads with. A private half of km's own is in a store, under the
#: same id; of a key that an admin registered for a plugin km has the public half only.
#: ``is_current`` is true for the one that km gives out and null for all others, so that the database
#: lets no two be it. ``updated`` of one of km's own that no longer is it says since when.
TRANSPORT_KEYS = sa.Table(
    'transport_keys', METADATA,
    Column('id', Id, primary_key=True),
    Column('plugin_name', Text, nullable=False),
    Column('transport_key', sa.String(4096), nullable=False),
    Column('status', sa.String(16), nullable=False),
    Column('is_current', sa.Boolean, unique=True),
    Column('created', Time, nullable=False),
    Column('updated', Time, nullable=False),
    Column('store', Text),
    Column('reference', sa.String(4096)),
    Column('intent', sa.String(32)),
    Column('intent_at', Time),
    sa.Index(None, 'created', 'id'),
)

#: The numbers of messages that workers opened, until those are too old to be opened again.
MESSAGES = sa.Table(
    'messages', METADATA,
    Column('number', sa.String(32), primary_key=True),
    Column('until', Time, nullable=False),
    sa.Index(None, 'until'),
)

#: Who issues certificates: those that plugins say they are, and the subordinates that projects had
#: made. ``plugin_name`` is the operator's name of the plugin, ``plugin_ca_id`` the plugin's of the
#: authority. ``expiration`` is when the description was to be asked for anew, ``not_after`` when its
#: certificate ends. ``is_global_preferred`` is true for one and null for all others. What signs is
#: public: no payload.
AUTHORITIES = sa.Table(
    'authorities', METADATA,
    Column('id', Id, primary_key=True),
    Column('plugin_name', Text, nullable=False),
    Column('plugin_ca_id', Text, nullable=False),
    Column('name', Text, nullable=False),
    Column('description', sa.String(1024), nullable=False),
    Column('status', sa.String(16), nullable=False),
    Column('parent_id', Id),
    Column('project_id', Text),
    Column('creator_id', Text),
    Column('certificate', ascii_text(16384)),
    Column('chain', ascii_text(32768)),
    Column('not_after', Time),
    Column('expiration', Time),
    Column('is_global_preferred', sa.Boolean, unique=True),
    Column('intent', sa.String(32)),
    Column('intent_at', Time),
    Column('created', Time, nullable=False),
    Column('updated', Time, nullable=False),
    sa.UniqueConstraint('plugin_name', 'plugin_ca_id'),
    sa.Index(None, 'project_id', 'created', 'id'),
    sa.Index(None, 'intent_at'),
)

#: The authorities that a project has chosen. ``is_preferred`` is true for one and null for its others.
PROJECT_AUTHORITIES = sa.Table(
    'project_authorities', METADATA,
    Column('project_id', Text, primary_key=True),
    Column('authority_id', Id, sa.ForeignKey('authorities.id', ondelete='CASCADE'), primary_key=True),
    Column('is_preferred', sa.Boolean),
    Column('created', Time, nullable=False),
    sa.UniqueConstraint('project_id', 'is_preferred'),
    sa.Index(None, 'authority_id'),
)

#: How far an order of a certificate is, beside its row in ``orders``. ``step`` is what is to be done
#: next. ``csr`` is PEM; ``reference`` what the authority needs to go on. ``issuing`` counts the times
#: that it was asked to issue, ``failures`` those in a row that it did not answer. ``key_id`` is the
#: secret with the private key; the order has made it if ``holds_key``, and then it is held until the
#: order is fulfilled. One that is ``cancelled`` is given up unless there is a certificate by then.
#: ``renews`` is the certificate that this one replaces. ``renew_percent`` of its lifetime is when the
#: new one is to be renewed; null is never.
CERTIFICATE_ORDERS = sa.Table(
    'certificate_orders', METADATA,
    Column('order_id', Id, sa.ForeignKey('orders.id', ondelete='CASCADE'), primary_key=True),
    Column('authority_id', Id, nullable=False),
    Column('request_type', sa.String(16), nullable=False),
    Column('profile', Text),
    Column('step', sa.String(16), nullable=False),
    Column('csr', ascii_text(24576)),
    Column('reference', sa.String(4096)),
    Column('issuing', sa.Integer, nullable=False),
    Column('failures', sa.Integer, nullable=False),
    Column('cancelled', sa.Boolean, nullable=False),
    Column('key_id', Id),
    Column('passphrase_id', Id),
    Column('holds_key', sa.Boolean, nullable=False),
    Column('not_after', Time),
    Column('give_up_at', Time, nullable=False),
    Column('renews', Id),
    Column('renew_percent', sa.Integer),
    Column('renew_key', sa.Boolean, nullable=False),
    Column('approved_by', Text),
    sa.Index(None, 'authority_id'),
)

#: What was issued. Each is a version of what its container has; ``is_current`` is true for the one
#: that is in there and null for those before. ``certificate_id`` and its like are secrets; km has made
#: the key for it if ``owns_key``. ``csr`` is the request, PEM. ``renew_at`` is when to look whether to
#: renew it, ``renewal`` the order that does; ``warned_days`` the last notice of its end that was
#: given. What is asked to be revoked is due at ``revoke_at``, which is null once it is done; ``revoked``
#: is when it was, or since when it is on hold.
CERTIFICATES = sa.Table(
    'certificates', METADATA,
    Column('id', Id, primary_key=True),
    Column('project_id', Text, nullable=False),
    Column('creator_id', Text),
    Column('order_id', Id, nullable=False, unique=True),
    Column('container_id', Id, nullable=False),
    Column('authority_id', Id, nullable=False),
    Column('profile', Text),
    Column('version', sa.Integer, nullable=False),
    Column('is_current', sa.Boolean),
    Column('serial', ascii_text(64), nullable=False),
    Column('subject', sa.String(1024), nullable=False),
    Column('issuer', sa.String(1024), nullable=False),
    Column('names', sa.String(4096), nullable=False),
    Column('fingerprint', ascii_text(64), nullable=False),
    Column('csr', ascii_text(24576), nullable=False),
    Column('not_before', Time, nullable=False),
    Column('not_after', Time, nullable=False),
    Column('certificate_id', Id, nullable=False),
    Column('intermediates_id', Id),
    Column('private_key_id', Id),
    Column('passphrase_id', Id),
    Column('owns_key', sa.Boolean, nullable=False),
    Column('renew_percent', sa.Integer),
    Column('renew_key', sa.Boolean, nullable=False),
    Column('renew_at', Time),
    Column('renewal', Id),
    Column('renewal_failures', sa.Integer, nullable=False),
    Column('warned_days', sa.Integer),
    Column('revocation_reason', sa.String(32)),
    Column('revocation_asked', Time),
    Column('invalidity_date', Time),
    Column('revoke_at', Time),
    Column('revoked', Time),
    Column('created', Time, nullable=False),
    Column('updated', Time, nullable=False),
    sa.UniqueConstraint('container_id', 'version'),
    sa.UniqueConstraint('container_id', 'is_current'),
    sa.Index(None, 'project_id', 'created', 'id'),
    sa.Index(None, 'is_current', 'not_after'),
    sa.Index(None, 'renew_at'),
    sa.Index(None, 'revoke_at'),
    sa.Index(None, 'authority_id'),
)

#: What notifiers are still to be told, a row for each of them. ``event_id`` is the same for all.
EVENTS = sa.Table(
    'events', METADATA,
    Column('id', Id, primary_key=True),
    Column('event_id', Id, nullable=False),
    Column('notifier', Text, nullable=False),
    Column('kind', sa.String(64), nullable=False),
    Column('project_id', Text, nullable=False),
    Column('resource_type', sa.String(16), nullable=False),
    Column('resource_id', Id, nullable=False),
    Column('details', sa.String(2048), nullable=False),
    Column('occurred', Time, nullable=False),
    Column('due', Time, nullable=False),
    Column('attempts', sa.Integer, nullable=False),
    sa.Index(None, 'notifier', 'due'),
)
