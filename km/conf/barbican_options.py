# SPDX-License-Identifier: Apache-2.0
"""What became of each option of Barbican; ``barbican.py`` goes by these tables."""

#: Options km has under another name, in the same unit: old (section, option) -> new.
RENAMED = {
    ('DEFAULT', 'host_href'): ('api', 'host_href'),
    ('DEFAULT', 'bind_host'): ('api', 'bind_host'),
    ('DEFAULT', 'bind_port'): ('api', 'bind_port'),
    ('DEFAULT', 'max_allowed_request_size_in_bytes'): ('oslo_middleware', 'max_request_body_size'),
    ('DEFAULT', 'max_allowed_secret_in_bytes'): ('api', 'max_payload_bytes'),
    ('DEFAULT', 'default_limit_paging'): ('api', 'default_page_size'),
    ('DEFAULT', 'max_limit_paging'): ('api', 'max_page_size'),
    ('DEFAULT', 'sql_idle_timeout'): ('database', 'connection_recycle_seconds'),
    ('DEFAULT', 'sql_pool_size'): ('database', 'max_connections'),
    ('database', 'connection_recycle_time'): ('database', 'connection_recycle_seconds'),
    ('database', 'idle_timeout'): ('database', 'connection_recycle_seconds'),
    ('database', 'max_pool_size'): ('database', 'max_connections'),
    ('quotas', 'quota_secrets'): ('quotas', 'secrets'),
    ('quotas', 'quota_orders'): ('quotas', 'orders'),
    ('quotas', 'quota_containers'): ('quotas', 'containers'),
    ('quotas', 'quota_consumers'): ('quotas', 'consumers'),
    ('quotas', 'quota_cas'): ('quotas', 'cas'),
    **{('keystone_notifications', name): ('keystone_notifications', name)
       for name in ('control_exchange', 'topic', 'pool_name')},
}

#: Options that named the metadata database, over the years.
DATABASE_URLS = (('database', 'connection'), ('database', 'sql_connection'),
                 ('DEFAULT', 'sql_connection'))

#: SQLAlchemy's names of what a database speaks through -> what km brings for it.
DRIVERS = {'postgresql': 'postgresql+psycopg', 'postgres': 'postgresql+psycopg',
           'postgresql+psycopg2': 'postgresql+psycopg', 'mysql': 'mysql+pymysql'}

#: Sections of libraries that read them in km as they did in Barbican; copied whole.
COPIED_SECTIONS = ('keystone_authtoken', 'oslo_messaging_', 'audit_middleware_notifications')

#: Single options of the same kind.
COPIED = (('DEFAULT', 'transport_url'), ('DEFAULT', 'rpc_response_timeout'),
          ('DEFAULT', 'control_exchange'))

_HISTORIC = 'certificate authorities are sections of their own: [certificate_authority] enabled.'
_PLUGINS = 'km finds plugins in the entry point groups km.*.v1.'
_SEVERAL = 'stores_lookup_suffix was in force in its place.'
_SWEEP = 'km retries by what is in its database; see [orders] retry_seconds.'

#: Options without an equal -> why, or what to do instead; '*' is every option of a section.
WITHOUT_EQUAL = {
    ('DEFAULT', 'admin_role'): 'who is an admin is a rule of policy.yaml.',
    ('DEFAULT', 'allow_anonymous_access'): 'nobody is anonymous; see [api] auth_strategy.',
    ('DEFAULT', 'db_auto_create'): 'run "km-manage db upgrade".',
    ('DEFAULT', 'sql_pool_logging'): 'set sqlalchemy.pool=DEBUG in default_log_levels.',
    ('DEFAULT', 'sql_pool_max_overflow'): '[database] max_connections is all there are.',
    ('DEFAULT', 'sql_pool_class'): 'km chooses the pool.',
    ('DEFAULT', 'sql_max_retries'): 'km does not wait for its database when it starts.',
    ('DEFAULT', 'sql_retry_interval'): 'km does not wait for its database when it starts.',
    ('database', 'max_overflow'): '[database] max_connections is all there are.',
    ('database', 'max_retries'): 'km does not wait for its database when it starts.',
    ('database', 'retry_interval'): 'km does not wait for its database when it starts.',
    ('database', '*'): 'connection, max_connections and connection_recycle_seconds are all there are.',
    ('queue', '*'): 'km derives it; see [rpc_transport].',
    ('queue', 'asynchronous_workers'): 'start as many km-worker processes as you want.',
    ('retry_scheduler', '*'): _SWEEP,
    ('keystone_notifications', '*'): 'km-keystone-listener always puts an event back that it could not '
                                     'end, and handles one at a time.',
    ('certificate', '*'): _HISTORIC,
    ('certificate_event', '*'): _HISTORIC,
    ('snakeoil_ca_plugin', '*'): _HISTORIC,
    ('vault_plugin', '*'): 'km has no secret store on Vault.',
    ('dogtag_plugin', '*'): 'km has no secret store on Dogtag.',
    ('oslo_policy', 'enforce_scope'): 'km takes tokens of projects only.',
    ('simple_crypto_plugin', 'kek'):
        'km keeps master keys in files of their own, and this one is not printed. Make a new one '
        'with "km-manage kek create"; "km-manage import barbican" opens with the old one what '
        'Barbican sealed, so keep barbican.conf until that is done.',
    ('secretstore', '*'): _PLUGINS,
    ('secretstore', 'enabled_secretstore_plugins'): _SEVERAL,
    ('secretstore', 'enabled_crypto_plugins'): _SEVERAL,
    ('crypto', '*'): _PLUGINS,
    ('crypto', 'enabled_crypto_plugins'): _SEVERAL,
}

#: What to tell of options that are carried.
NOTES = {
    ('oslo_policy', 'policy_file'):
        'km knows the actions and the base rules of Barbican, but in YAML only; "km-status upgrade '
        'check" tells what it cannot use.',
}

#: What Barbican calls a way to keep secrets -> the plugin of km that does so.
PLUGINS = {'simple_crypto': 'simple_crypto', 'p11_crypto': 'pkcs11', 'kmip_plugin': 'kmip'}

#: Plugins that are not in this km yet: their options are carried over under Barbican's names.
LATER_PLUGINS = ('pkcs11', 'kmip')

#: The section Barbican has each plugin's options in, and those of them that are carried over.
PLUGIN_OPTIONS = {
    'simple_crypto': ('simple_crypto_plugin', ()),
    'pkcs11': ('p11_crypto_plugin', (
        'library_path', 'token_serial_number', 'token_labels', 'slot_id', 'login', 'mkek_label')),
    'kmip': ('kmip_plugin', (
        'host', 'port', 'username', 'password', 'certfile', 'keyfile', 'ca_certs')),
}
