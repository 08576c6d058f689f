# SPDX-License-Identifier: Apache-2.0
"""v1 stays v1: what plugin authors build on changes on purpose, and never so that a plugin breaks."""
import dataclasses
import inspect
from abc import ABC, abstractmethod
from typing import ClassVar

import pytest

from km import interfaces
from km.plugins.secret_store import envelope
from tests.laws import abi

ON_PURPOSE = (
    'The public interface of plugins is no longer what abi_v1.txt says. If that is on purpose, write '
    'the file anew with "python -m tests.laws.abi", and write a release note for plugin authors.')
FOR_EVER = (
    'Plugins that are out there would break, and v1 stays v1. A new field needs a default; a new '
    'ability is a new optional interface; what shall be otherwise gets a new name beside the old one.')

#: Interfaces of the kinds that km.interfaces has, to be changed below.
INTERFACES = """
Reference = dict[str, str]

@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    payload: bytes = dataclasses.field(repr=False)
    kind: str = 'opaque'

class Plugin(ABC):
    fast: ClassVar[bool] = False
    def check(self) -> str:
        return 'ok'

class Ability(ABC):
    @abstractmethod
    def sign(self, data: bytes) -> bytes: ...

class Able(ABC):
    def more(self) -> int:
        return 1

class Store(Plugin):
    @abstractmethod
    def store(self, request: Request) -> Reference: ...

def open_plugin(plugin: type, **settings: str) -> Plugin: ...
"""

BREAKS = {
    'a name is gone': ('class Able', 'class _Able'),
    'a type is another': ('Reference = dict[str, str]', 'Reference = dict[str, int]'),
    'a field is gone': ("    kind: str = 'opaque'\n", ''),
    'a field has another name': ('kind: str', 'sort: str'),
    'a field has another type': ('kind: str', 'kind: str | None'),
    'a field has another default': ("'opaque'", "'private'"),
    'a field has no default any more': ("kind: str = 'opaque'", 'kind: str'),
    'a new field has no default': ('    kind: str', '    size: int\n    kind: str'),
    'a field is in the repr': (' = dataclasses.field(repr=False)', ''),
    'a request is not frozen': ('frozen=True, ', ''),
    'a request takes positions': ('kw_only=True', 'kw_only=False'),
    'a constant is another': ('fast: ClassVar[bool] = False', 'fast: ClassVar[bool] = True'),
    'a constant is gone': ('    fast: ClassVar[bool] = False\n', ''),
    'a method has another name': ('def check(', 'def verify('),
    'a method is given more': ('def store(self, request: Request)',
                               'def store(self, request: Request, deadline: float)'),
    'a method is given more, with a default': ('def store(self, request: Request)',
                                               'def store(self, request: Request, until: int = 1)'),
    'an argument has another name': ('request: Request)', 'asked: Request)'),
    'a method must return something else': ('-> Reference: ...', '-> None: ...'),
    'a method must be written that need not': ('    def check', '    @abstractmethod\n    def check'),
    'there is a new method to write': (
        'class Store(Plugin):', 'class Store(Plugin):\n    @abstractmethod\n    def undo(self): ...'),
    'a new base has a method to write': ('class Store(Plugin):', 'class Store(Plugin, Ability):'),
    'a base is gone': ('class Store(Plugin):', 'class Store(ABC):'),
    'an ability has a new method to write': (
        'class Ability(ABC):', 'class Ability(ABC):\n    @abstractmethod\n    def keys(self): ...'),
    'a function has another signature': ('**settings: str', 'settings: dict'),
    'a function is gone': ('def open_plugin', 'def _open_plugin'),
}
ALLOWED = {
    'nothing changes': ('', ''),
    'a new field has a default': ("'opaque'", "'opaque'\n    size: int | None = None"),
    'there is a new ability': (
        'class Able', 'class Sealer(ABC):\n    @abstractmethod\n    def seal(self): ...\n\nclass Able'),
    'there is a new method that need not be written': (
        '    def check', '    def waiting(self) -> int:\n        return 0\n    def check'),
    'a new base has nothing to write': ('class Store(Plugin):', 'class Store(Plugin, Able):'),
    'there is a new constant': ('    def check', '    far: ClassVar[bool] = False\n    def check'),
    'there is a new function': ('def open_plugin', 'def close_plugin(): ...\n\ndef open_plugin'),
}


def told(source):
    """How interfaces that are written so are described."""
    module = {'dataclasses': dataclasses, 'ABC': ABC, 'abstractmethod': abstractmethod,
              'ClassVar': ClassVar}
    given = set(module)
    exec(source, module)
    names = [name for name in module if name not in given and not name.startswith('_')]
    return '\n'.join(abi.several(module, names))


def changed(change):
    before, after = change
    assert INTERFACES.count(before) == 1 or not before
    return INTERFACES.replace(before, after)


@pytest.mark.parametrize('change', BREAKS.values(), ids=BREAKS)
def test_a_change_that_breaks_plugins_is_found(change):
    assert len(abi.breaks(told(INTERFACES), told(changed(change)))) >= 1


@pytest.mark.parametrize('change', ALLOWED.values(), ids=ALLOWED)
def test_a_change_that_breaks_none_is_allowed(change):
    assert abi.breaks(told(INTERFACES), told(changed(change))) == []


def test_what_is_said_of_a_break_names_it():
    assert abi.breaks(told(INTERFACES), told(changed(BREAKS['a new base has a method to write']))) == [
        'Store: a subclass must write sign']


def test_the_plugin_interface_is_the_one_that_was_written_down():
    assert abi.described().splitlines() == abi.ABI.read_text().splitlines(), ON_PURPOSE


def test_a_plugin_for_the_released_interface_goes_on_working():
    assert abi.breaks(abi.RELEASED.read_text(), abi.described()) == [], FOR_EVER


def test_what_is_public_is_exported_and_nothing_else():
    public = {name for name, value in vars(interfaces).items()
              if not name.startswith('_') and not inspect.ismodule(value)}
    assert public == set(interfaces.__all__)


def test_requests_and_results_are_frozen_and_take_keywords_only():
    for name in [*interfaces.__all__, 'WrappedKey']:
        thing = getattr(interfaces, name, envelope.WrappedKey)
        if dataclasses.is_dataclass(thing):
            assert abi.kind(thing) == ' dataclass frozen keyword-only', name


def test_the_contract_suites_are_among_what_is_promised():
    assert 'km.testing.secret_store.SecretStoreContract' in abi.suites()
    for suite in abi.suites():
        assert f'class {suite}\n    fixture ' in abi.ABI.read_text()


@pytest.mark.parametrize('change', [('class km.testing.secret_store.Sec', 'class km.testing.store.Sec'),
                                    ('    fixture store\n', '')])
def test_a_suite_or_a_fixture_that_goes_is_found(change):
    assert abi.breaks(abi.described(), abi.described().replace(*change))
