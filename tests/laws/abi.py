# SPDX-License-Identifier: Apache-2.0
"""What plugin authors build on, as text, and which changes of it break a plugin that is out there.

``python -m tests.laws.abi`` writes ``abi_v1.txt`` anew. At a release it is copied over
``abi_v1_released.txt``.
"""
import ast
import dataclasses
import importlib
import inspect
import pkgutil
import re
import textwrap
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from km import interfaces, testing
from km.plugins.secret_store import envelope

ABI = Path(__file__).with_name('abi_v1.txt')
RELEASED = Path(__file__).with_name('abi_v1_released.txt')
#: How the line begins that has the abstract methods of a class, inherited ones too.
WRITES = '    a subclass writes: '


def described() -> str:
    """All of it, a line a name."""
    lines = ['# km.interfaces', *several(vars(interfaces), interfaces.__all__)]
    lines += ['', '# km.plugins.secret_store.envelope']
    lines += one('EnvelopeStore', envelope.EnvelopeStore, only=('wrap', 'unwrap'))
    lines += one('WrappedKey', envelope.WrappedKey)
    lines += ['', '# km.testing']
    lines += one('MemoryStore', testing.MemoryStore, only=('payloads',))
    lines += one('open_authority', testing.open_authority)
    lines += one('open_plugin', testing.open_plugin)
    for name, suite in sorted(suites().items()):
        lines += contract_suite(name, suite)
    return '\n'.join(lines) + '\n'


def several(namespace: Mapping[str, Any], names: list[str]) -> list[str]:
    return [line for name in sorted(names) for line in one(name, namespace[name])]


def one(name: str, thing: Any, only: tuple[str, ...] = ()) -> Iterator[str]:
    """An exported name; of a class all that is its own and public. Types of km are told without their
    modules: where we keep one is our affair."""
    for line in _one(name, thing, only):
        yield re.sub(r'\bkm\.(\w+\.)+(?=[A-Z])', '', line)


def _one(name: str, thing: Any, only: tuple[str, ...]) -> Iterator[str]:
    if inspect.isfunction(thing):
        yield f'{name}{inspect.signature(thing)}'
        return
    if not inspect.isclass(thing) or isinstance(thing, types.GenericAlias):
        yield f'{name} = {inspect.formatannotation(thing)}'
        return
    yield f'class {name}({", ".join(base.__name__ for base in thing.__bases__)}){kind(thing)}'
    if inspect.isabstract(thing):
        yield WRITES + ', '.join(sorted(thing.__abstractmethods__))
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
        elif isinstance(value, property):
            yield f'    {member}: property'
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


def suites() -> dict[str, type]:
    """The contract suites that are shipped, by their whole names."""
    modules = [importlib.import_module(f'km.testing.{found.name}')
               for found in pkgutil.iter_modules(testing.__path__)]
    return {f'{module.__name__}.{name}': thing for module in modules
            for name, thing in vars(module).items()
            if name.endswith('Contract') and thing.__module__ == module.__name__}


def contract_suite(name: str, suite: type) -> Iterator[str]:
    """A suite and the fixtures that a subclass may write. Its tests are its own: there may be more."""
    yield f'class {name}'
    for fixture in [node for part in suite.__mro__[:-1]
                    for node in ast.parse(textwrap.dedent(inspect.getsource(part))).body[0].body]:
        if isinstance(fixture, ast.FunctionDef) and any(
                'fixture' in ast.unparse(decorator) for decorator in fixture.decorator_list):
            yield f'    fixture {fixture.name}'


def breaks(before: str, after: str) -> list[str]:
    """What of ``after`` breaks a plugin that was written for ``before``, both as ``described``.

    Names, members and bases may be added, nothing may go or change; a new field has a default, and a
    subclass need not write more methods than it did.
    """
    was, now = parsed(before), parsed(after)
    found = [f'{name} is gone' for name in was if name not in now]
    for name in was.keys() & now.keys():
        found += [f'{name}: {wrong}' for wrong in broken(was[name], now[name])]
    return sorted(found)


def broken(was: list[str], now: list[str]) -> Iterator[str]:
    """What was broken of one name; the first line of each is its header."""
    if was[0] != now[0] and not (bases(was[0])[0] == bases(now[0])[0]
                                 and bases(was[0])[1] <= bases(now[0])[1]):
        yield f'"{was[0]}" became "{now[0]}"'
    yield from (f'a subclass must write {method}' for method in sorted(written(now) - written(was)))
    yield from (f'"{line.strip()}" is gone' for line in was[1:]
                if line not in now and not line.startswith(WRITES))
    yield from (f'the new field "{line.strip()}" has no default' for line in now[1:]
                if line not in was and ' dataclass' in now[0]
                and '(' not in line.partition(':')[0] and ' = ' not in line)


def parsed(text: str) -> dict[str, list[str]]:
    """The lines of each name, by it."""
    found: dict[str, list[str]] = {}
    name = ''
    for line in text.splitlines():
        if line.startswith('    '):
            found[name].append(line)
        elif line and not line.startswith('#'):
            name = line.removeprefix('class ').partition('(')[0].partition(' ')[0]
            found[name] = [line]
    return found


def bases(header: str) -> tuple[str, set[str]]:
    """A header without the bases of its class, and those."""
    begin, _, rest = header.partition('(')
    inner, _, end = rest.partition(')')
    if not header.startswith('class '):
        return header, set()
    return begin + end, set(inner.split(', ')) - {'object', 'ABC'}


def written(lines: list[str]) -> set[str]:
    return {method for line in lines if line.startswith(WRITES)
            for method in line.removeprefix(WRITES).split(', ')}


if __name__ == '__main__':
    ABI.write_text(described())
