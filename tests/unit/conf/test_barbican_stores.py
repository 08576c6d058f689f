# SPDX-License-Identifier: Apache-2.0
"""Which stores a barbican.conf enables, by its several ways to say so."""
import pytest

from km.conf.barbican_files import NewFile, OldFile
from km.conf.barbican_stores import translate


@pytest.fixture
def stores(tmp_path):
    """The sections of stores that a text becomes, and the warnings."""
    def stores(text):
        (tmp_path / 'barbican.conf').write_text(text)
        new = NewFile()
        translate(OldFile(str(tmp_path / 'barbican.conf')), new)
        return {section: dict(options) for section, options in new.sections.items()}, new.warnings

    return stores


@pytest.mark.parametrize(('text', 'enabled'), [
    ('', 'simple_crypto'),
    ('[crypto]\nenabled_crypto_plugins = p11_crypto\n', 'pkcs11'),
    ('[secretstore]\nenabled_crypto_plugins = p11_crypto\n', 'pkcs11'),
    ('[secretstore]\nenabled_secretstore_plugins = kmip_plugin\n', 'kmip'),
    ('[secretstore]\nenabled_secretstore_plugins = kmip_plugin\n'
     'enabled_secretstore_plugins = store_crypto\n', 'kmip, simple_crypto'),
    ('[secretstore]\nenabled_secretstore_plugins = vault_plugin, store_crypto\n', 'simple_crypto'),
    ('[secretstore]\nenable_multiple_secret_stores = false\nstores_lookup_suffix = x\n'
     '[secretstore:x]\nsecret_store_plugin = kmip_plugin\n', 'simple_crypto'),
])
def test_what_was_enabled_is_enabled(stores, text, enabled):
    sections, _ = stores(text)
    assert sections['secret_store']['enabled'] == enabled
    assert sections['secret_store']['default'] == enabled.partition(',')[0]


@pytest.mark.parametrize('plugin', ['vault_plugin', 'dogtag_plugin', 'of_a_stranger'])
def test_a_store_without_an_equal_is_left_out_and_told(stores, plugin):
    sections, warnings = stores(f'[secretstore]\nenabled_secretstore_plugins = {plugin}\n')
    assert sections == {}
    assert any('enabled_secretstore_plugins: km has no plugin' in warning for warning in warnings)
    assert any('no secret store could be carried over' in warning for warning in warnings)


def test_a_default_that_cannot_be_carried_over_is_replaced_and_told(stores):
    sections, warnings = stores(
        '[secretstore]\nenable_multiple_secret_stores = True\nstores_lookup_suffix = a,b\n'
        '[secretstore:a]\nsecret_store_plugin = vault_plugin\nglobal_default = True\n'
        '[secretstore:b]\nsecret_store_plugin = store_crypto\ncrypto_plugin = simple_crypto\n')
    assert sections['secret_store'] == {'enabled': 'b', 'default': 'b'}
    assert any('b is the first that could be carried over' in warning for warning in warnings)


def test_a_store_that_was_not_enabled_is_told(stores):
    _, warnings = stores('[secretstore:x]\nsecret_store_plugin = kmip_plugin\n'
                         '[kmip_plugin]\npassword = hidden\n')
    assert '[secretstore:x] secret_store_plugin: this store was not enabled.' in warnings
    assert '[kmip_plugin] password: no enabled store is of this plugin.' in warnings


def test_two_stores_of_one_plugin_stay_two(stores):
    sections, _ = stores(
        '[secretstore]\nenable_multiple_secret_stores = True\nstores_lookup_suffix = a,b\n'
        '[secretstore:a]\nsecret_store_plugin = store_crypto\ncrypto_plugin = simple_crypto\n'
        '[secretstore:b]\nsecret_store_plugin = store_crypto\ncrypto_plugin = simple_crypto\n'
        'global_default = True\n')
    assert sections['secret_store'] == {'enabled': 'a, b', 'default': 'b'}
    assert sections['secret_store:a']['kek_file'] != sections['secret_store:b']['kek_file']
