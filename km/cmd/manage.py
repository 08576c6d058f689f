# SPDX-License-Identifier: Apache-2.0
"""``km-manage``: what an operator does beside running km. Exit status 1 means that it failed."""
import argparse
import json
import sys
from collections.abc import Sequence

from km import registry
from km.api import openapi
from km.cmd import run
from km.conf import barbican
from km.conf.load import load
from km.deploy import WorkerDeployment, database
from km.errors import KmError, Misconfigured
from km.interfaces import SecretStore
from km.lifecycle import orders, projects, transport_keys, upkeep
from km.lifecycle.reconcile import reconcile as compare
from km.plugins.secret_store import key_file
from km.plugins.secret_store.envelope import EnvelopeStore


def main() -> None:
    """Run the command of ``sys.argv``."""
    sys.exit(run(lambda: command(sys.argv[1:])))


def command(arguments: Sequence[str]) -> int | None:
    """Run one command; see ``km-manage --help``."""
    asked = _parser().parse_args(arguments)
    files = [asked.config_file] if asked.config_file else None
    return asked.run(asked, lambda: load(files=files))


def db_upgrade(asked, conf) -> None:
    """Bring the metadata database to the schema of this km."""
    metadata = database(conf())
    metadata.upgrade()
    print(f'The metadata database is at schema version {metadata.current()}.')


def db_current(asked, conf) -> None:
    """Print the schema version of the metadata database."""
    print(database(conf()).current() or 'empty')


def db_check(asked, conf) -> None:
    """Fail if the metadata database is not at the schema of this km."""
    database(conf()).require_schema()
    print('The metadata database has the schema of this km.')


def plugins(asked, conf) -> int:
    """List installed plugins, their packages, whether they are enabled, and how they are."""
    house = registry.Registry(conf())
    rows = [('KIND', 'PLUGIN', 'PACKAGE', 'ENABLED AS', 'STATE')]
    failed = False
    for found in registry.installed():
        instances = house.instances_of(found.kind, found.name)
        if not instances:
            rows.append((found.kind, found.name, found.package, '-', found.error or 'not enabled'))
        for name, plugin in instances.items():
            try:
                plugin.open()
                state = plugin.check()
                plugin.close()
            except KmError as error:
                state, failed = f'FAILED: {error.sentence}', True
            rows.append((found.kind, found.name, found.package, name, state))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print('  '.join(cell.ljust(width) for cell, width in zip(row, (*widths, 0), strict=True)))
    return int(failed)


def sweep(asked, conf) -> int:
    """Sweep once, now: erase what expired, end what was abandoned."""
    deployment = WorkerDeployment(conf())
    swept = upkeep.sweep(deployment.context)
    deployment.close()
    print(f'{swept}.')
    return int(bool(swept.failed))


def reconcile(asked, conf) -> int:
    """Compare the metadata with every store, both ways, and say on what they do not agree."""
    deployment, found, left = WorkerDeployment(conf()), 0, 0
    for difference in compare(deployment.context, fix=asked.fix):
        found, left = found + 1, left + (not difference.mended)
        print(f'{difference.store}: {difference.secret_id} {difference.problem}'
              f'{"; destroyed" if difference.mended else ""}')
    deployment.close()
    print(f'{found} differences, {left} left.')
    return int(bool(left))


def db_clean(asked, conf) -> None:
    """Delete orders that ended long ago; what they made stays. Nothing else of km needs cleaning."""
    deployment = WorkerDeployment(conf())
    print(f'{orders.clean(deployment.context, days=asked.min_days)} orders deleted.')
    deployment.close()


def project_forget(asked, conf) -> None:
    """Erase all that a project has, as when Keystone tells that it is gone."""
    deployment = WorkerDeployment(conf())
    gone = projects.forget(deployment.context, asked.id)
    deployment.close()
    print(f'{gone} secrets and containers erased.')


def rewrap(asked, conf) -> None:
    """Seal the project keys of a store under its newest master key."""
    stores: dict[str, SecretStore] = registry.Registry(conf()).secret_stores
    store = stores.get(asked.store)
    if not isinstance(store, EnvelopeStore):
        raise Misconfigured(f"'{asked.store}' is no enabled store with project keys to rewrap.")
    store.open()
    print(f'{store.rewrap()} project keys are under the newest master key now.')
    store.close()


def transport_key_rotate(asked, conf) -> None:
    """Put a new transport key in the place of the current one, which opens payloads until it retires."""
    deployment = WorkerDeployment(conf())
    print(f'The current transport key is {transport_keys.rotate(deployment.context)}.')
    deployment.close()


def kek_create(asked, conf) -> None:
    """Write a new random master key to a file with mode 0400."""
    print(f'{asked.file}: master key {key_file.create(asked.file).fingerprint}')


def conf_import(asked, conf) -> None:
    """Print a km.conf made from a barbican.conf, with its passwords; warn of what has no equal."""
    text, warnings = barbican.imported(asked.file)
    print(text, end='')
    for warning in warnings:
        print(f'km: {warning}', file=sys.stderr)


def seal_key_create(asked, conf) -> None:
    """Write a new random key for messages between API and workers to a file with mode 0400."""
    made = key_file.create(asked.file, key_file.SEAL_KEY)
    print(f'{asked.file}: seal key {made.fingerprint}')


def print_openapi(asked, conf) -> None:
    """Print the description of the API, an OpenAPI 3.1 document."""
    print(json.dumps(openapi.document(), indent=1))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='km-manage', description=__doc__)
    parser.add_argument('--config-file', metavar='FILE', help='instead of the usual km.conf')
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    db = commands.add_parser('db', help='the metadata database').add_subparsers(
        required=True, metavar='COMMAND')
    _add(db, 'upgrade', db_upgrade)
    _add(db, 'current', db_current)
    _add(db, 'check', db_check)
    _add(db, 'clean', db_clean).add_argument(
        '--min-days', type=_days, default=90, metavar='DAYS', help='how long ago; 90 if not given')
    _add(commands, 'plugins', plugins)
    _add(commands, 'openapi', print_openapi)
    _add(commands, 'sweep', sweep)
    _add(commands, 'reconcile', reconcile).add_argument(
        '--fix', action='store_true', help='destroy what is in a store and has no row')
    project = commands.add_parser('project', help='projects of Keystone').add_subparsers(
        required=True, metavar='COMMAND')
    _add(project, 'forget', project_forget).add_argument('id', help='of the project')
    _add(commands, 'rewrap', rewrap).add_argument('store', help='name of a secret store')
    kek = commands.add_parser('kek', help='master keys in files').add_subparsers(
        required=True, metavar='COMMAND')
    _add(kek, 'create', kek_create).add_argument('file')
    transport_key = commands.add_parser('transport-key', help='keys that clients wrap payloads with')
    _add(transport_key.add_subparsers(required=True, metavar='COMMAND'), 'rotate', transport_key_rotate)
    conf = commands.add_parser('conf', help='the configuration').add_subparsers(
        required=True, metavar='COMMAND')
    _add(conf, 'import', conf_import).add_argument('file', help='a barbican.conf')
    seal = commands.add_parser('seal-key', help='keys that messages are sealed with').add_subparsers(
        required=True, metavar='COMMAND')
    _add(seal, 'create', seal_key_create).add_argument('file')
    return parser


def _add(commands, name: str, function) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
    parser.set_defaults(run=function)
    return parser


def _days(text: str) -> int:
    days = int(text)
    if not 0 <= days <= 36500:
        raise ValueError('out of range')
    return days
