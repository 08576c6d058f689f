# SPDX-License-Identifier: Apache-2.0
"""The secret stores of a barbican.conf, as those of a km.conf."""
from collections.abc import Iterator
from dataclasses import dataclass

from km.conf import barbican_options as tables
from km.conf.barbican_files import NewFile, OldFile

_VIA_CRYPTO = 'store_crypto'
_ENABLED, _ENABLED_CRYPTO = 'enabled_secretstore_plugins', 'enabled_crypto_plugins'
_SEVERAL, _SUFFIXES = 'enable_multiple_secret_stores', 'stores_lookup_suffix'
_OF_ONE_STORE = ('secret_store_plugin', 'crypto_plugin', 'global_default')
_KEY_FILE = '/etc/km/kek-{}'


@dataclass(frozen=True, slots=True)
class OldStore:
    """A way to keep secrets that was enabled.

    :param name: the store's name in the new file; None to call it after its plugin.
    :param option: the section and the option that say so.
    :param plugin: Barbican's name of what keeps secrets, or wraps their keys.
    """

    name: str | None
    option: tuple[str, str]
    plugin: str
    is_default: bool = False


def translate(old: OldFile, new: NewFile) -> set[tuple[str, str]]:
    """Carry the stores, their plugins' options, and which is the default.

    :returns: the options of the old file that are done with.
    """
    several = old.is_on('secretstore', _SEVERAL)
    enabled: dict[str, OldStore] = {}
    plugins = set()
    for store in _suffixed(old) if several else _plain(old):
        plugin = tables.PLUGINS.get(store.plugin)
        name = store.name or plugin
        if plugin is None or name is None:
            new.warn(*store.option, 'km has no plugin for this secret store.')
        elif name not in enabled:
            enabled[name] = store
            plugins.add(plugin)
            _put(old, new, name=name, plugin=plugin)
    _choose(new, enabled)
    return (_options_of_plugins(old, new, plugins) | _options_of_stores(old, new)
            | _enabling(several))


def _suffixed(old: OldFile) -> Iterator[OldStore]:
    """Of several stores each has a suffix, which its section ends with."""
    for suffix in old.every('secretstore', _SUFFIXES):
        section = f'secretstore:{suffix}'
        via_crypto = old.last(section, 'secret_store_plugin') == _VIA_CRYPTO
        option = section, 'crypto_plugin' if via_crypto else 'secret_store_plugin'
        yield OldStore(name=suffix, option=option, plugin=old.last(*option) or '',
                       is_default=old.is_on(section, 'global_default'))


def _plain(old: OldFile) -> Iterator[OldStore]:
    """Of plugins that were merely enabled the first kept what it could."""
    crypto = 'crypto' if old.every('crypto', _ENABLED_CRYPTO) else 'secretstore'
    for keeper in old.every('secretstore', _ENABLED) or [_VIA_CRYPTO]:
        if keeper != _VIA_CRYPTO:
            yield OldStore(name=None, option=('secretstore', _ENABLED), plugin=keeper)
            continue
        for plugin in old.every(crypto, _ENABLED_CRYPTO) or ['simple_crypto']:
            yield OldStore(name=None, option=(crypto, _ENABLED_CRYPTO), plugin=plugin)


def _put(old: OldFile, new: NewFile, *, name: str, plugin: str) -> None:
    """Write the section of one store."""
    section = f'secret_store:{name}'
    new.put(section, 'plugin', plugin)
    old_section, carried = tables.PLUGIN_OPTIONS[plugin]
    for option in carried:
        value = old.last(old_section, option)
        if value is not None:
            new.put(section, option, value)
    if plugin == 'simple_crypto':
        file = _KEY_FILE.format(name)
        new.put(section, 'kek_file', file)
        new.warn(section, 'kek_file', f'run "km-manage kek create {file}".')
        new.warn(section, 'connection', 'give the store a database of its own, for ciphertext.')
    if plugin in tables.LATER_PLUGINS:
        new.warn(section, 'plugin', f'{plugin} comes with a later km; what was carried over has '
                                    "Barbican's names, so look at it again then.")


def _choose(new: NewFile, enabled: dict[str, OldStore]) -> None:
    """Enable the stores there are, and one of them by default."""
    if not enabled:
        new.warn('secret_store', 'enabled', 'no secret store could be carried over.')
        return
    default = next((name for name, store in enabled.items() if store.is_default), None)
    if default is None:
        default = next(iter(enabled))
        if len(enabled) > 1 or enabled[default].name:
            new.warn('secret_store', 'default', f'{default} is the first that could be carried '
                                                'over; make sure that it is the one you want.')
    new.put('secret_store', 'enabled', ', '.join(enabled))
    new.put('secret_store', 'default', default)


def _options_of_plugins(old: OldFile, new: NewFile, plugins: set[str]) -> set[tuple[str, str]]:
    """Warn of the options of plugins that were not carried over."""
    done = set()
    for plugin, (section, carried) in tables.PLUGIN_OPTIONS.items():
        for option in old.sections.get(section, {}):
            reason = tables.WITHOUT_EQUAL.get((section, option))
            if reason or option not in carried:
                new.warn(section, option, reason or f'the plugin {plugin} has no such option.')
            elif plugin not in plugins:
                new.warn(section, option, 'no enabled store is of this plugin.')
            done.add((section, option))
    return done


def _options_of_stores(old: OldFile, new: NewFile) -> set[tuple[str, str]]:
    """Warn of what was in the sections of single stores without being in force."""
    used = ({f'secretstore:{suffix}'.lower() for suffix in old.every('secretstore', _SUFFIXES)}
            if old.is_on('secretstore', _SEVERAL) else set())
    done = {(section, option) for section, options in old.sections.items()
            if section.startswith('secretstore:') for option in options}
    for section, option in sorted(done):
        if section not in used:
            new.warn(section, option, 'this store was not enabled.')
        elif option not in _OF_ONE_STORE:
            new.warn(section, option, 'km has no such option.')
    return done


def _enabling(several: bool) -> set[tuple[str, str]]:
    """The options that said which stores there are."""
    read = {('secretstore', _SEVERAL), ('secretstore', _SUFFIXES)}
    if not several:
        read |= {('secretstore', _ENABLED), ('secretstore', _ENABLED_CRYPTO),
                 ('crypto', _ENABLED_CRYPTO)}
    return read
