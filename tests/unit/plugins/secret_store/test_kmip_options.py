# SPDX-License-Identifier: Apache-2.0
"""What an operator gets wrong in a KMIP store's section is named, with the section and the option."""
import sys
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from km import registry
from km.interfaces import Misconfigured
from km.plugins.secret_store.kmip import Kmip
from km.plugins.secret_store.kmip_options import KmipSettings
from km.testing import open_plugin
from tests.functional.certificates import Authority


@pytest.fixture
def files(folder):
    """The options of a store whose server nobody has started."""
    authority = Authority(folder)
    authority.client('km')
    authority.client('other')
    return {'hosts': '127.0.0.1:1', 'ca_file': f'{folder}/ca.pem',
            'certificate_file': f'{folder}/km.pem', 'key_file': f'{folder}/km.key'}


def told(files, **changed):
    with pytest.raises(Misconfigured) as failure:
        open_plugin(Kmip, **files | changed)
    return failure.value.sentence


@pytest.mark.parametrize('option', ['ca_file', 'certificate_file', 'key_file'])
def test_a_file_that_is_not_there_is_named_with_its_option(files, option):
    assert told(files, **{option: '/not/there'}) == (
        f'[secret_store:plugin] {option}: /not/there cannot be read (No such file or directory).')


@pytest.mark.parametrize('option', ['ca_file', 'certificate_file', 'key_file'])
def test_a_file_that_holds_something_else_is_named_with_its_option(files, folder, option):
    (folder / 'else').write_text('else')
    (folder / 'else').chmod(0o600)
    assert told(files, **{option: f'{folder}/else'}) == (
        f'[secret_store:plugin] {option}: {folder}/else does not hold what it should, as PEM.')


def test_a_key_of_another_certificate_is_told(files, folder):
    assert told(files, key_file=f'{folder}/other.key') == (
        f'[secret_store:plugin] key_file: {folder}/other.key is not the key of certificate_file.')


def test_a_key_that_everybody_may_read_is_refused(files, folder):
    (folder / 'km.key').chmod(0o644)
    assert 'key_file' in told(files)
    assert 'set its mode to 0400' in told(files)


def test_a_key_under_a_passphrase_is_refused_and_nobody_is_asked_for_it(files, folder):
    key = load_pem_private_key((folder / 'km.key').read_bytes(), None)
    (folder / 'km.key').write_bytes(key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b'unmistakable')))
    assert 'key_file: ' in told(files)


@pytest.mark.parametrize('host', ['', 'kmip:port', 'kmip:99999', 'https://kmip', 'kmip/path', 'a@kmip',
                                  '::1'])
def test_what_is_no_host_is_told(files, host):
    assert told(files, hosts=[host]) == (
        f"[secret_store:plugin] hosts: '{host}' is no host or host:port.")


@pytest.mark.parametrize(('host', 'address'), [
    ('kmip.example.org', ('kmip.example.org', 5696)), ('kmip:9', ('kmip', 9)),
    ('192.0.2.1', ('192.0.2.1', 5696)), ('[2001:db8::1]:9', ('2001:db8::1', 9))])
def test_hosts_are_names_and_addresses_with_or_without_a_port(host, address):
    settings = SimpleNamespace(hosts=[host], username=None, password=None,
                               object_group='km', protocol_version='1.4')
    assert KmipSettings('plugin', settings).addresses == [address]


@pytest.mark.parametrize('half', ['username', 'password'])
def test_a_username_goes_with_a_password(files, half):
    assert told(files, **{half: 'unmistakable'}) == (
        '[secret_store:plugin] password: it goes together with username; set both or neither.')


@pytest.mark.parametrize('option', ['object_group', 'username', 'password'])
def test_what_pykmip_cannot_send_is_told(files, option):
    both = {} if option == 'object_group' else {'username': 'km', 'password': 'x'}
    assert told(files, **both | {option: 'unmistäkable'}) == (
        f'[secret_store:plugin] {option}: it may have only characters of ASCII, for pykmip sends no '
        'others.')


def test_without_pykmip_the_plugin_is_listed_with_what_it_lacks(monkeypatch):
    for name in list(sys.modules):
        if name == 'kmip' or name.startswith(('kmip.', 'km.plugins.secret_store.kmip')):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'kmip', None)
    found, = (plugin for plugin in registry.installed() if plugin.name == 'kmip')
    assert 'kmip' in found.error
    assert 'ModuleNotFoundError' in found.error
