# SPDX-License-Identifier: Apache-2.0
"""From the names in an INI file to open plugins. Nothing else of km imports stevedore.

The registry is loud: a name that is not installed, two packages that ship one name, a class of the
wrong kind, an import that fails or an option that is missing is ``Misconfigured``, with the section
and the option, and km does not start.
"""
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, TypeVar

from oslo_config import cfg
from stevedore.named import NamedExtensionManager

from km.conf import plugins
from km.errors import KmError, Misconfigured
from km.hosting.authority import HostedAuthority
from km.hosting.guest import Guest
from km.hosting.notifier import HostedNotifier
from km.hosting.responder import HostedResponder
from km.hosting.store import HostedStore
from km.interfaces import (
    CertificateAuthority,
    ChallengeResponder,
    Notifier,
    Plugin,
    RpcTransport,
    SecretStore,
)

LOG = logging.getLogger(__name__)

#: Each kind of plugin: its name in INI sections, and the interface its classes must subclass. Those come
#: first that others stand on.
KINDS: dict[str, type[Plugin]] = {
    'rpc_transport': RpcTransport, 'secret_store': SecretStore,
    'challenge_responder': ChallengeResponder, 'certificate_authority': CertificateAuthority,
    'notifier': Notifier}

AGuest = TypeVar('AGuest', bound=Guest)


@dataclass(frozen=True, slots=True)
class Installed:
    """A plugin that some installed package offers.

    :param error: why its class cannot be imported, or None.
    """

    kind: str
    name: str
    package: str
    error: str | None


class Registry:
    """The plugins an operator enabled, open.

    ``secret_stores``, ``responders``, ``authorities`` and ``notifiers`` map the operator's names to
    plugins; ``default_store`` is one of the names.
    """

    def __init__(self, conf: cfg.ConfigOpts, *, works: bool | None = None):
        """Find and instantiate what ``conf`` enables; ``open`` opens it.

        :param works: whether the worker is in this process, and so needs the stores: None if it is
            where stores are enabled. It is in any case where messages do not leave the process.
        :raises Misconfigured: see the module.
        """
        #: (kind, plugin, the operator's name) -> instance
        self._made: dict[tuple[str, str, str], Plugin] = {}
        self.transport = self._make(conf, 'rpc_transport', 'rpc_transport', 'rpc_transport')
        if works is None:
            works = bool(conf.secret_store.enabled)
        self.works = works or self.transport.in_process
        self.secret_stores = self._hosted(conf, 'secret_store', HostedStore)
        self.default_store = conf.secret_store.default
        if self.works and self.default_store not in self.secret_stores:
            raise Misconfigured(f"[secret_store] default: '{self.default_store}' is not among "
                                f"enabled = {', '.join(self.secret_stores)}.")
        self.responders = self._hosted(conf, 'challenge_responder', HostedResponder)
        self.authorities = self._hosted(conf, 'certificate_authority', HostedAuthority)
        self.notifiers = self._hosted(conf, 'notifier', HostedNotifier)
        self._equip(conf)

    def open(self) -> None:
        """Open every plugin; if one fails, those before it are closed again.

        :raises Misconfigured, Unavailable: as the plugin says.
        """
        opened: list[RpcTransport | Guest] = []
        try:
            for plugin in self._all():
                plugin.open()
                opened.append(plugin)
        except BaseException:
            for plugin in reversed(opened):
                plugin.close()
            raise

    def close(self) -> None:
        """Close every plugin; one that fails to is logged and does not keep the others open."""
        for plugin in reversed(self._all()):
            try:
                plugin.close()
            except Exception:
                LOG.exception('Plugin %s did not close.', plugin.name)

    def tried(self) -> Iterator[tuple[tuple[str, str, str], str | KmError]]:
        """Open every plugin, ask how it is, and close it in the end.

        :returns: of each its kind, plugin and the operator's name; and what it says, or why it fails.
        """
        opened: list[RpcTransport | Guest] = []
        for made, plugin in zip(self._made, self._all(), strict=True):
            try:
                plugin.open_now() if isinstance(plugin, Guest) else plugin.open()
                opened.append(plugin)
                yield made, plugin.check()
            except KmError as error:
                yield made, error
        for plugin in reversed(opened):
            plugin.close()

    @property
    def secret_store_plugins(self) -> dict[str, str]:
        """The plugin of each secret store, by the operator's names."""
        return {name: plugin for kind, plugin, name in self._made if kind == 'secret_store'}

    def _all(self) -> list[RpcTransport | Guest]:
        """In the order in which they were made: those first that others stand on."""
        return [self.transport, *self.secret_stores.values(), *self.responders.values(),
                *self.authorities.values(), *self.notifiers.values()]

    def _hosted(self, conf: cfg.ConfigOpts, kind: str, host: type[AGuest]) -> dict[str, AGuest]:
        """The instances of one kind, by the operator's names; none where no work is done."""
        hosted = {}
        for name in conf[kind].enabled if self.works else ():
            section = f'{kind}:{name}'
            plugin = self._make(conf, kind, section, name)
            told = _values(conf, section, plugins.HOSTED[kind])
            hosted[name] = host(plugin, plugin=told.plugin, required=told.required,
                                seconds=told.call_timeout_seconds, most_calls=told.most_calls)
        return hosted

    def _equip(self, conf: cfg.ConfigOpts) -> None:
        """Give authorities what they may use of other plugins, and notifiers what to listen to."""
        key_stores = {name: able for name, store in self.secret_stores.items()
                      if (able := store.key_store())}
        for name, authority in self.authorities.items():
            authority.needs_approval = conf[f'certificate_authority:{name}'].approval
            authority.guest.key_stores, authority.guest.responders = key_stores, self.responders
        for name, notifier in self.notifiers.items():
            kinds = conf[f'notifier:{name}'].kinds
            notifier.kinds = frozenset(conf.events.kinds if kinds is None else kinds)

    def _make(self, conf: cfg.ConfigOpts, kind: str, section: str, name: str) -> Any:
        if section not in conf:
            conf.register_opts(plugins.INSTANCE_OPTIONS, group=section)
        plugin = conf[section].plugin
        if not plugin:
            raise Misconfigured(f"[{section}] plugin is required: it names the plugin of '{name}'.")
        try:
            loaded = _load(kind, plugin)
        except Misconfigured as error:
            raise Misconfigured(f'[{section}] plugin: {error.sentence}') from None
        made = self._made[kind, plugin, name] = loaded(name, _values(conf, section, loaded.options))
        if loaded.foreign_options:
            made.foreign = foreign(conf, loaded.foreign_options)
        return made


def installed() -> Iterator[Installed]:
    """Every plugin of every kind that is installed, whether enabled or not."""
    for kind in KINDS:
        names = {point.name for point in entry_points(group=_group(kind))}
        for name in sorted(names):
            try:
                _load(kind, name)
                error = None
            except Misconfigured as failure:
                error = failure.sentence
            yield Installed(kind, name, _packages(kind, name), error)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """The options of every installed plugin, for oslo-config-generator; those of one that km hosts as if
    it were enabled under its own name."""
    there = [(found, _load(found.kind, found.name)) for found in installed() if not found.error]
    foreign_sections = {name: list(options) for _, plugin in there
                        for name, options in plugin.foreign_options.items()}
    return [(f'{found.kind}:{found.name}', [*plugins.HOSTED[found.kind], *plugin.options])
            for found, plugin in there if found.kind in plugins.HOSTED] + [
        (found.kind, list(plugin.options)) for found, plugin in there
        if found.kind == 'rpc_transport'] + list(foreign_sections.items())


def _values(conf: cfg.ConfigOpts, section: str,
            options: Sequence[cfg.Opt]) -> cfg.ConfigOpts.GroupAttr:
    """A section, with these options, each of which has a value that it can have."""
    conf.register_opts(options, group=section)
    for option in options:
        try:
            value = conf[section][option.dest]
        except (cfg.ConfigFileValueError, ValueError) as error:
            raise Misconfigured(f'[{section}] {option.dest}: {error}.') from None
        except cfg.RequiredOptError:
            value = None
        # oslo.config looks at `required` only while it parses, when these are not registered yet.
        if option.required and value in (None, '', []):
            raise Misconfigured(f'[{section}] {option.name} is required: {option.help}')
    return conf[section]


def foreign(conf: cfg.ConfigOpts, sections: Mapping[str, Sequence[cfg.Opt]]) -> cfg.ConfigOpts:
    """A configuration of its own, for a library, with these sections of ``conf``.

    :raises Misconfigured: an option has a value that it cannot have.
    """
    own = cfg.ConfigOpts()
    own([], default_config_files=[], default_config_dirs=[])
    for section, options in sections.items():
        group = None if section == 'DEFAULT' else section
        conf.register_opts(options, group=group)
        own.register_opts(options, group=group)
        read = conf[group] if group else conf
        for option in options:
            try:
                own.set_override(option.dest, read[option.dest], group=group)
            except (cfg.Error, ValueError) as error:
                raise Misconfigured(f'[{section}] {option.name}: {error}') from None
    return own


def _load(kind: str, name: str) -> type[Plugin]:
    """The class behind an entry point, which one package offers and which can be instantiated."""
    failures: list[BaseException] = []
    found = NamedExtensionManager[Plugin](
        _group(kind), [name], on_missing_entrypoints_callback=None,
        on_load_failure_callback=lambda _manager, _point, error: failures.append(error)).extensions
    if failures:
        raise Misconfigured(f"'{name}' of {_packages(kind, name)} cannot be imported "
                            f'({type(failures[0]).__name__}: {failures[0]}).{_remedy(kind, name)}')
    if not found:
        names = ', '.join(sorted(point.name for point in entry_points(group=_group(kind))))
        raise Misconfigured(f"'{name}' is not installed; there are: {names}.")
    if len(found) > 1:
        raise Misconfigured(f"'{name}' comes from {_packages(kind, name)}; uninstall all but one.")
    loaded = found[0].plugin
    if not (isinstance(loaded, type) and issubclass(loaded, KINDS[kind])):
        raise Misconfigured(f"'{name}' of {_packages(kind, name)} is no {KINDS[kind].__name__}.")
    if loaded.__abstractmethods__:
        missing = ', '.join(sorted(loaded.__abstractmethods__))
        raise Misconfigured(f"'{name}' of {_packages(kind, name)} lacks {missing}.")
    return loaded


def _remedy(kind: str, name: str) -> str:
    """What to install for a plugin that says which extra of its package it needs."""
    wanted = sorted({f'{point.dist.name}[{extra}]' for point in entry_points(
        group=_group(kind), name=name) if point.dist for extra in point.extras})
    return f' Try: pip install "{wanted[0]}".' if wanted else ''


def _group(kind: str) -> str:
    return f'km.{kind}.v1'


def _packages(kind: str, name: str) -> str:
    # stevedore's cache of entry points forgets which distribution each came from.
    points = entry_points(group=_group(kind), name=name)
    return ' and '.join(sorted({point.dist.name for point in points if point.dist}))
