# SPDX-License-Identifier: Apache-2.0
"""The registry is loud: whatever an operator got wrong is named, with section and option."""
import importlib.metadata
import sys

import pytest
import stevedore

from km.conf.load import load
from km.errors import Misconfigured, Unavailable
from km.interfaces import SecretStore
from km.registry import Registry, installed
from km.testing import MemoryStore
from km.testing.application import write_conf


class Incomplete(SecretStore):
    """A store that forgot a method."""

    def store(self, request):
        """Keep nothing."""

    retrieve = delete = store


class Down(MemoryStore):
    """A store that does not open."""

    def open(self):
        raise Unavailable('No.')


class Stubborn(MemoryStore):
    """A store that does not close."""

    def close(self):
        raise RuntimeError('a bug')


def not_a_class():
    """No plugin at all."""


@pytest.fixture
def registry(folder):
    """The registry of a km.conf with these sections changed."""
    def read(sections):
        return Registry(load(files=[str(write_conf(folder, sections))]))
    return read


@pytest.fixture
def offered(monkeypatch):
    """Lets installed packages offer further entry points: name -> 'module:attribute', repeatedly."""
    real = importlib.metadata.entry_points

    def offer(*pairs):
        points = [importlib.metadata.EntryPoint(name, f'{__name__}:{value}', 'km.secret_store.v1')
                  for name, value in pairs]
        monkeypatch.setitem(
            stevedore.ExtensionManager.ENTRY_POINT_CACHE, 'km.secret_store.v1',
            [*real(group='km.secret_store.v1'), *points])

    return offer


def test_what_is_enabled_is_there_under_the_operators_name(registry):
    found = registry({'secret_store': {'enabled': 'soft, second', 'default': 'second'},
                      'secret_store:second': {'plugin': 'simple_crypto', 'kek_file': '/k',
                                              'connection': 'sqlite://'}})
    assert list(found.secret_stores) == ['soft', 'second']
    assert found.default_store == 'second'
    assert found.secret_stores['second'].guest.settings.kek_file == ['/k']


@pytest.mark.parametrize(('sections', 'said'), [
    ({'secret_store': {'enabled': None, 'default': None}}, r'\[secret_store\] default'),
    ({'secret_store': {'default': 'hard'}}, r"\[secret_store\] default: 'hard' is not among"),
    ({'secret_store': {'enabled': 'soft, hard'}}, r'\[secret_store:hard\] plugin is required'),
    ({'secret_store:soft': {'plugin': 'nonesuch'}},
     r"\[secret_store:soft\] plugin: 'nonesuch' is not installed; there are: .*simple_crypto"),
    ({'secret_store:soft': {'kek_file': None}}, r'\[secret_store:soft\] kek_file is required'),
    ({'secret_store:soft': {'connection': None}}, r'\[secret_store:soft\] connection is required'),
    ({'secret_store:soft': {'max_connections': 'many'}}, r'\[secret_store:soft\] max_connections'),
    ({'secret_store:soft': {'max_connections': '0'}}, r'\[secret_store:soft\] max_connections'),
    ({'rpc_transport': {'plugin': 'pigeon'}}, r"\[rpc_transport\] plugin: 'pigeon'")])
def test_a_mistake_is_named_with_section_and_option(registry, sections, said):
    with pytest.raises(Misconfigured, match=said):
        registry(sections)


@pytest.mark.parametrize(('value', 'said'), [
    ('not_a_class', 'is no SecretStore'), ('pytest', 'is no SecretStore'),
    ('Missing', 'cannot be imported'), ('Incomplete', 'lacks find')])
def test_a_plugin_that_is_none_is_refused(registry, offered, value, said):
    offered(('odd', value))
    with pytest.raises(Misconfigured, match=rf"\[secret_store:soft\] plugin: 'odd' .*{said}"):
        registry({'secret_store:soft': {'plugin': 'odd'}})


def test_a_plugin_whose_library_is_not_there_says_what_to_install(registry, monkeypatch):
    for module in [name for name in sys.modules if name.startswith((
            'km.plugins.secret_store.kmip', 'kmip'))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, 'kmip', None)
    with pytest.raises(Misconfigured, match=r'plugin: .*cannot be imported.*pip install "km\[kmip\]"'):
        registry({'secret_store:soft': {'plugin': 'kmip'}})


def test_two_packages_with_one_name_are_refused(registry, offered):
    offered(('odd', 'MemoryStore'), ('odd', 'Down'))
    with pytest.raises(Misconfigured, match='uninstall all but one'):
        registry({'secret_store:soft': {'plugin': 'odd'}})


def test_when_a_required_store_does_not_open_the_others_are_closed_again(registry, offered, folder):
    offered(('down', 'Down'))
    found = registry({'secret_store': {'enabled': 'soft, bad'},
                      'secret_store:bad': {'plugin': 'down', 'required': True}})
    with pytest.raises(Unavailable):
        found.open()
    assert found.secret_stores['soft'].guest._database.engine.pool.checkedin() == 0


def test_a_plugin_that_does_not_close_is_logged_and_the_others_close(registry, offered, caplog):
    offered(('stubborn', 'Stubborn'))
    found = registry({'secret_store': {'enabled': 'bad', 'default': 'bad'},
                      'secret_store:bad': {'plugin': 'stubborn'}})
    found.open()
    found.close()
    assert 'Plugin bad did not close' in caplog.text


def test_what_is_installed_is_told_with_its_package():
    found = {(plugin.kind, plugin.name): plugin for plugin in installed()}
    assert found['secret_store', 'simple_crypto'].package == 'km'
    assert found['rpc_transport', 'embedded'].error is None
