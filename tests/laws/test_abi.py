# SPDX-License-Identifier: Apache-2.0
"""What plugin authors build on does not change by accident: ``abi_v1.txt`` is all of it."""
import dataclasses
import inspect
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from km import interfaces
from km.plugins.secret_store import envelope

ABI = Path(__file__).with_name('abi_v1.txt')
ON_PURPOSE = (
    'The public interface of plugins is no longer what abi_v1.txt says, and v1 stays v1: plugins '
    'that are out there must go on working. If they do, because all that changed is a new optional '
    'interface or a new field with a default, write the file anew with "python '
    'tests/laws/test_abi.py", and write a release note for plugin authors.')


def described() -> str:
    """The public interface, a line a name."""
    lines = ['# km.interfaces']
    for name in sorted(interfaces.__all__):
        lines += one(name, getattr(interfaces, name))
    lines += ['', '# km.plugins.secret_store.envelope']
    lines += one('EnvelopeStore', envelope.EnvelopeStore, only=('wrap', 'unwrap'))
    lines += one('WrappedKey', envelope.WrappedKey)
    return '\n'.join(lines) + '\n'


def one(name: str, thing: Any, only: tuple[str, ...] = ()) -> Iterator[str]:
    """An exported name; of a class all that is its own and public."""
    if not inspect.isclass(thing) or isinstance(thing, types.GenericAlias):
        yield f'{name} = {inspect.formatannotation(thing)}'
        return
    yield f'class {name}({", ".join(base.__name__ for base in thing.__bases__)}){kind(thing)}'
    fields = dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ()
    yield from map(field, fields)
    generated = {told.name for told in fields} | ({'__init__'} if fields else set())
    annotations = inspect.get_annotations(thing)
    for member, value in sorted(vars(thing).items()):
        public = member == '__init__' or not member.startswith('_')
        if not public or member in generated or (only and member not in only):
            continue
        if inspect.isfunction(value):
            abstract = 'abstract ' if getattr(value, '__isabstractmethod__', False) else ''
            yield f'    {abstract}{member}{inspect.signature(value)}'
        else:
            yield f'    {member}: {inspect.formatannotation(annotations.get(member))} = {value!r}'


def kind(thing: type) -> str:
    if not dataclasses.is_dataclass(thing):
        return ''
    frozen = ' frozen' if thing.__dataclass_params__.frozen else ''
    keywords = all(told.kw_only for told in dataclasses.fields(thing))
    return f' dataclass{frozen}{" keyword-only" if keywords else ""}'


def field(told: dataclasses.Field) -> str:
    default = ''
    if told.default is not dataclasses.MISSING:
        default = f' = {told.default!r}'
    elif told.default_factory is not dataclasses.MISSING:
        default = f' = {told.default_factory.__name__}()'
    hidden = '' if told.repr else '  # never in a repr'
    return f'    {told.name}: {inspect.formatannotation(told.type)}{default}{hidden}'


def test_the_plugin_interface_is_the_one_that_was_promised():
    assert described().splitlines() == ABI.read_text().splitlines(), ON_PURPOSE


def test_what_is_public_is_exported_and_nothing_else():
    public = {name for name, value in vars(interfaces).items()
              if not name.startswith('_') and not inspect.ismodule(value)}
    assert public == set(interfaces.__all__)


def test_requests_and_results_are_frozen_and_take_keywords_only():
    for name in [*interfaces.__all__, 'WrappedKey']:
        thing = getattr(interfaces, name, envelope.WrappedKey)
        if dataclasses.is_dataclass(thing):
            assert kind(thing) == ' dataclass frozen keyword-only', name


if __name__ == '__main__':
    ABI.write_text(described())
