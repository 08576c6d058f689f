# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: the floors of the house, read from the source of every module."""
import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

GROUND = {'errors', 'identity'}
#: Each room, and what it may import beside itself: rooms, or single modules of a room.
FLOORS = {
    'client':     set(),  # runs on users' machines
    'errors':     set(),
    'identity':   set(),
    'interfaces': {'errors'},
    'conf':       {'errors'},
    'certificates': {'errors'},
    'db':         {'errors'},
    # What is public for plugins of every kind: a database of one's own, a key that a store signs with.
    'plugins':    {'interfaces', 'plugins.database', 'plugins.signer'},
    'keystone':   GROUND,
    'hosting':    {'interfaces', 'errors'},
    'registry':   {'hosting', 'interfaces', 'conf', 'errors'},
    'acl':        {'db'} | GROUND,
    'lifecycle':  {'hosting', 'registry', 'db', 'acl', 'interfaces', 'certificates'} | GROUND,
    # It shares PKCS#11 libraries with km's own stores: a process can load one only once.
    'barbican':   {'lifecycle', 'hosting', 'db', 'errors', 'plugins.secret_store.cryptoki'},
    'worker':     {'lifecycle', 'acl', 'keystone', 'interfaces'} | GROUND,
    'api':        {'worker', 'lifecycle', 'hosting.authority', 'db', 'acl.rules', 'keystone',
                   'interfaces', 'certificates'} | GROUND,
}
# How a key file is read is the same for a store's keys and for those of messages.
FLOORS['deploy'] = {'api', 'worker', 'lifecycle', 'hosting', 'registry', 'db', 'acl', 'keystone',
                    'interfaces', 'conf', 'plugins.secret_store.key_file'} | GROUND
FLOORS['wsgi'] = {'deploy'} | FLOORS['deploy']
# A command may be about one plugin, as `km-manage kek create` is, or about what stood there before km.
FLOORS['cmd'] = {'plugins.secret_store', 'barbican', 'certificates'} | FLOORS['wsgi']
FLOORS['testing'] = set(FLOORS) - {'client', 'testing'}

#: Libraries that one module, or a room, keeps for itself.
KEPT = {'stevedore': ('km.registry',), 'pecan': ('km.api',), 'msgpack': ('km.worker.envelope',),
        'alembic': ('km.db',), 'keystonemiddleware': ('km.keystone',), 'cotyledon': ('km.cmd.worker',),
        'oslo_messaging': ('km.plugins.rpc_transport.messaging', 'km.plugins.notifier.messaging',
                           'km.worker.keystone_events'),
        'osc_lib': ('km.client',), 'openstackclient': ('km.client.project',),
        'prometheus_client': ('km.api.metrics', 'km.api.certificate_metrics')}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


MODULES = {name_of(path): ast.parse(path.read_text()) for path in sorted(ROOT.glob('km/**/*.py'))}


def imports(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """Everything that is imported anywhere in a module: modules, where it is one of ours."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f'line {node.lineno}: a relative import'
            yield from ((whole if (whole := f'{node.module}.{alias.name}') in MODULES
                         else node.module, node) for alias in node.names)


def is_below(module: str, name: str) -> bool:
    return module == name or module.startswith(name + '.')


def room(module: str) -> str:
    return (module + '.').split('.')[1]


def at_home(module: str, imported: str) -> bool:
    """Whether both are of one room; of the plugins each kind is a room of its own."""
    depth = 3 if room(module) == 'plugins' else 2
    return module.split('.')[:depth] == imported.split('.')[:depth]


OURS = {module: {name for name, _ in imports(tree) if is_below(name, 'km')}
        for module, tree in MODULES.items()}


def cycles() -> list[list[str]]:
    """Every module that can be reached from itself, with the way."""
    found = []
    for start in OURS:
        ways, seen = [[start]], set()
        while ways:
            way = ways.pop()
            for after in OURS[way[-1]] - seen:
                seen.add(after)
                ways.append([*way, after])
                if after == start:
                    found.append([*way, after])
    return found


def test_every_room_has_its_floor():
    assert {room(module) for module in MODULES} - {''} == set(FLOORS)


@pytest.mark.parametrize('module', [module for module in MODULES if room(module)])
def test_a_module_imports_only_what_its_floor_allows(module):
    allowed = [f'km.{name}' for name in FLOORS[room(module)]]
    assert [imported for imported in sorted(OURS[module])
            if not at_home(module, imported)
            and not any(is_below(imported, name) for name in allowed)] == []


def test_the_tests_of_plugin_authors_are_for_tests_alone():
    assert [module for module, ours in OURS.items() if room(module) != 'testing'
            for name in ours if is_below(name, 'km.testing')] == []


def test_there_is_no_import_cycle():
    assert cycles() == []


def test_no_cycle_leads_through_rooms_either():
    between = {(room(module), room(name)) for module, ours in OURS.items() for name in ours}
    rooms, left = {name for pair in between for name in pair}, set()
    while rooms != left:  # take away, again and again, the rooms that import none that is left
        left = rooms
        rooms = {name for name in left
                 if any(here == name != there and there in left for here, there in between)}
    assert rooms == set()


@pytest.mark.parametrize('module', MODULES)
def test_nothing_is_imported_inside_a_function(module):
    functions = [node for node in ast.walk(MODULES[module])
                 if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)]
    assert [f'{name}, line {node.lineno}' for function in functions
            for name, node in imports(function)] == []


@pytest.mark.parametrize('library', KEPT)
def test_a_library_stays_where_it_is_known(library):
    assert [module for module, tree in MODULES.items()
            if any(is_below(name, library) for name, _ in imports(tree))
            and not any(is_below(module, home) for home in KEPT[library])] == []
