# SPDX-License-Identifier: Apache-2.0
"""Two barbican.conf as operators have them, and what becomes of each option."""
import re
from pathlib import Path

import pytest

from km.conf import barbican, load
from km.conf.barbican_files import OldFile

OLD = {name: Path(__file__).with_name(f'{name}.conf') for name in ('one_store', 'several_stores')}
SECRET = re.compile(r'pw.of.\w+|pin-of-hsm|dGhl|YW4g')
KEK = re.compile('dGhl|YW4g')


@pytest.fixture
def translated(tmp_path):
    """Imports a file, or a text; gives what km reads of the result, its text and the warnings."""
    def translate(old):
        if not isinstance(old, Path):
            (tmp_path / 'barbican.conf').write_text(old)
            old = tmp_path / 'barbican.conf'
        text, warnings = barbican.imported(str(old))
        (tmp_path / 'km.conf').write_text(text)
        return load.load(files=[str(tmp_path / 'km.conf')]), text, warnings

    return translate


def warned(warnings):
    """The options that warnings are about."""
    return {re.match(r'\[(.+?)\] (\w+): \S', warning).groups() for warning in warnings}


def test_a_common_file_is_carried_over_option_by_option(translated):
    conf, text, _ = translated(OLD['one_store'])
    assert conf.log_file == '/var/log/barbican/barbican-api.log'
    assert conf.default_log_levels == ['amqp=WARN', 'sqlalchemy=WARN']
    assert (conf.api.bind_host, conf.api.bind_port) == ('0.0.0.0', 9311)
    assert conf.api.host_href == 'https://keys.example.org:9311'
    assert (conf.api.max_payload_bytes, conf.oslo_middleware.max_request_body_size) == (30000, 40000)
    assert (conf.api.default_page_size, conf.api.max_page_size) == (25, 50)
    assert conf.database.connection == (
        'mysql+pymysql://barbican:pw-of-database@db.example.org/barbican?charset=utf8')
    assert (conf.database.max_connections, conf.database.connection_recycle_seconds) == (10, 1800)
    assert conf.oslo_policy.policy_file == '/etc/barbican/policy.yaml'
    assert conf.oslo_policy.policy_dirs == ['/etc/barbican/one.d', '/etc/barbican/two.d']
    assert conf.oslo_policy.enforce_new_defaults is False
    assert conf.oslo_middleware.enable_proxy_headers_parsing is True
    assert conf.cors.allowed_origin == ['https://dashboard.example.org', 'https://other.example.org']
    assert conf.healthcheck.disable_by_file_path == '/etc/barbican/healthcheck_disable'
    assert dict(conf.quotas) == {
        'secrets': 100, 'orders': -1, 'containers': 20, 'consumers': 30, 'cas': 0}
    assert conf.rpc_transport.plugin == 'embedded'
    assert (conf.secret_store.enabled, conf.secret_store.default) == (
        ['simple_crypto'], 'simple_crypto')
    assert '[secret_store:simple_crypto]\nplugin = simple_crypto\n' in text


def test_a_file_with_everything_keeps_messaging_and_its_stores(translated):
    conf, text, warnings = translated(OLD['several_stores'])
    assert conf.database.connection.startswith('postgresql+psycopg://barbican:pw-of-database@')
    assert (conf.database.max_connections, conf.database.connection_recycle_seconds) == (30, 600)
    assert conf.rpc_transport.plugin == 'messaging'
    assert 'transport_url = rabbit://barbican:pw-of-rabbit@mq1.example.org:5671,' in text
    assert '[oslo_messaging_rabbit]\nssl = True\nrabbit_quorum_queue = True\n' in text
    assert conf.secret_store.enabled == ['software', 'hsm', 'Appliance']
    assert conf.secret_store.default == 'hsm'
    assert '[secret_store:hsm]\nplugin = pkcs11\nlibrary_path = /usr/lib/hsm/libhsm.so\n' in text
    assert '[secret_store:Appliance]\nplugin = kmip\nhost = kmip.example.org\nport = 5696\n' in text
    assert ('secretstore:vault', 'secret_store_plugin') in warned(warnings)


def test_what_a_library_reads_in_both_services_stays_as_it_was(translated, tmp_path):
    translated(OLD['one_store'])
    section = 'keystone_authtoken'
    assert OldFile(str(tmp_path / 'km.conf')).sections[section] == (
        OldFile(str(OLD['one_store'])).sections[section])


@pytest.mark.parametrize('name', OLD)
def test_every_option_is_carried_or_warned_of(translated, name):
    """Those that tell which stores there are become the new file's own."""
    _, text, warnings = translated(OLD[name])
    told = warned(warnings)
    telling = re.compile('enable$|enable_multiple_secret_stores|stores_lookup_suffix'
                         '|enabled_secretstore_plugins|enabled_crypto_plugins|secret_store_plugin'
                         '|crypto_plugin|global_default')
    for section, options in OldFile(str(OLD[name])).sections.items():
        for option, values in options.items():
            carried = any(f'= {value}\n' in text or f'= "{value}"\n' in text
                          or value.replace('\n', '\n    ') in text for value in values)
            assert carried or (section, option) in told or telling.match(option), (section, option)


@pytest.mark.parametrize('name', OLD)
def test_warnings_hold_no_secret_and_master_keys_are_nowhere(translated, name):
    _, text, warnings = translated(OLD[name])
    assert not SECRET.search('\n'.join(warnings))
    assert not KEK.search(text)
    assert ('simple_crypto_plugin', 'kek') in warned(warnings)
    assert any('km-manage kek create' in warning for warning in warnings)


@pytest.mark.parametrize(('section', 'option', 'said'), [
    ('DEFAULT', 'db_auto_create', 'km-manage db upgrade'),
    ('DEFAULT', 'backdoor_port', 'no such option'),
    ('DEFAULT', 'sql_connection', 'empty database of its own'),
    ('retry_scheduler', 'initial_delay_seconds', 'retry_seconds'),
    ('oslo_policy', 'policy_file', 'km-status upgrade check'),
    ('oslo_policy', 'enforce_scope', 'projects only'),
    ('secretstore', 'namespace', 'entry point'),
    ('snakeoil_ca_plugin', 'ca_cert_path', '[certificate_authority] enabled'),
])
def test_a_warning_says_why_or_what_to_do(translated, section, option, said):
    _, _, warnings = translated(OLD['one_store'])
    (warning,) = [line for line in warnings if line.startswith(f'[{section}] {option}:')]
    assert said in warning


def test_a_value_km_cannot_take_is_left_out_and_named(translated):
    conf, _, warnings = translated(
        '[DEFAULT]\ndefault_limit_paging = ten\nhost_href = $nowhere/keys\n'
        '[quotas]\nquota_secrets = -5\n[database]\nconnection = sqlite://\n')
    assert (conf.api.default_page_size, conf.api.host_href, conf.quotas.secrets) == (10, None, -1)
    assert warned(warnings) >= {('DEFAULT', 'default_limit_paging'), ('DEFAULT', 'host_href'),
                                ('quotas', 'quota_secrets')}


def test_roles_that_were_a_default_are_pointed_out(translated):
    _, _, warnings = translated('[database]\nconnection = sqlite://\n')
    assert ('oslo_policy', 'enforce_new_defaults') in warned(warnings)
    _, _, warnings = translated('[database]\nconnection = sqlite://\n'
                                '[oslo_policy]\nenforce_new_defaults = true\n')
    assert ('oslo_policy', 'enforce_new_defaults') not in warned(warnings)


def test_a_file_without_a_database_says_what_is_missing(tmp_path):
    (tmp_path / 'barbican.conf').write_text('')
    _, warnings = barbican.imported(str(tmp_path / 'barbican.conf'))
    assert ('database', 'connection') in warned(warnings)
