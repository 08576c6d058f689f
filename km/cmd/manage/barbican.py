# SPDX-License-Identifier: Apache-2.0
"""``km-manage import barbican``: what Barbican keeps comes into km, under its ids."""
import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from km.barbican import simple_crypto, tables
from km.barbican.database import Database
from km.barbican.importing import Import, Tally
from km.barbican.payloads import Opener, Payloads
from km.cmd.manage.commands import add as add_command
from km.cmd.manage.commands import group, worker
from km.cmd.manage.progress import Progress, add_pace
from km.conf import barbican
from km.conf.barbican_files import OldFile
from km.errors import Misconfigured
from km.lifecycle import stores
from km.lifecycle.context import Context

try:
    from km.barbican import p11_crypto
except ImportError:  # without km[pkcs11]; what is sealed in a token is left then
    p11_crypto = None  # type: ignore[assignment]

_TOKEN = 'p11_crypto_plugin'


def import_barbican(asked, conf) -> int:
    """Bring over what a Barbican database holds, under its ids. Barbican's is only read. Cut off, run it
    again: what is there already is compared."""
    old = OldFile(asked.barbican_conf) if asked.barbican_conf else None
    openers = _openers(asked, old)
    database = Database(_url(asked, old))
    payloads = Payloads(database, openers)
    try:
        good, bad = payloads.check()
        print(f'Project keys of Barbican: {good} open, {bad} do not.')
        with worker(conf) as ctx:
            tallies = _brought(asked, ctx, database, payloads)
        _print_counts(database, tallies)
    finally:
        payloads.close()
        database.close()
    return int(any(tally.left or tally.lingering for tally in tallies))


def _brought(asked: argparse.Namespace, ctx: Context, database: Database,
             payloads: Payloads) -> list[Tally]:
    store = stores.enabled(ctx, asked.store or ctx.default_store)
    print(f"Payloads would go to the store '{store.name}'; this only looks." if asked.dry_run
          else f"Payloads go to the store '{store.name}'.")
    tallies = []
    for tally, work in Import(ctx, database, payloads, store=store, dry_run=asked.dry_run).parts():
        with Progress(f'{tally.kind}s', total=tally.total, per_second=asked.per_second) as progress:
            before = 0
            for left in work:
                for outcome in left:
                    print(f'km: {tally.kind} {outcome.id}: {outcome.reason}.', file=sys.stderr)
                progress.step(tally.looked_at - before)
                before = tally.looked_at
        tallies.append(tally)
    return tallies


def _url(asked: argparse.Namespace, old: OldFile | None) -> str:
    """Where Barbican's database is.

    :raises Misconfigured: nothing says so.
    """
    if asked.database:
        return barbican.with_driver(asked.database)
    if asked.database_file:
        return barbican.with_driver(_text(asked.database_file))
    url = barbican.database_url(old) if old else None
    if url is None:
        raise Misconfigured('Where is the Barbican database? Give --barbican-conf, --database-file or '
                            '--database.')
    return url


def _openers(asked: argparse.Namespace, old: OldFile | None) -> dict[str, Opener]:
    """What payloads can be opened with, by Barbican's names of its back ends."""
    keys = [line for file in asked.kek for line in _text(file).split()]
    if not keys and old:
        keys = old.values('simple_crypto_plugin', 'kek')
    openers: dict[str, Opener] = {}
    if keys:
        openers[simple_crypto.PLUGIN] = simple_crypto.SimpleCrypto(keys)
    if old and p11_crypto and (library := old.last(_TOKEN, 'library_path')):
        openers[p11_crypto.PLUGIN] = p11_crypto.P11Crypto(p11_crypto.Token(
            library=library, pin=old.last(_TOKEN, 'login') or '',
            serial=old.last(_TOKEN, 'token_serial_number'),
            labels=tuple(old.every(_TOKEN, 'token_labels') or old.every(_TOKEN, 'token_label')),
            slot=_number(old, 'slot_id', default=1)))
    return openers


def _number(old: OldFile, option: str, *, default: int) -> int:
    try:
        return int(old.last(_TOKEN, option) or default)
    except ValueError:
        raise Misconfigured(f'[{_TOKEN}] {option}: this is no number.') from None


def _text(path: str) -> str:
    """What is in a file.

    :raises Misconfigured: there is nothing, or it cannot be read.
    """
    try:
        text = Path(path).read_text().strip()
    except OSError as error:
        raise Misconfigured(f'{path} cannot be read: {error.strerror}.') from None
    except UnicodeDecodeError:
        raise Misconfigured(f'{path} is not text.') from None
    if not text:
        raise Misconfigured(f'{path} is empty.')
    return text


def _print_counts(database: Database, tallies: Sequence[Tally]) -> None:
    for tally in tallies:
        print(f'{tally.kind}s: {tally.looked_at} in Barbican: {tally.imported} imported, {tally.there} '
              f'were there already, {tally.expired} have expired, {tally.left} are left.'
              + (f' {tally.lingering} were deleted since.' if tally.lingering else ''))
    for table in tables.LEFT_BEHIND:
        if count := database.count(table):
            print(f'{table.name}: {count} in Barbican: these are not brought over.')


def add(commands: Any) -> None:
    """Put the command into the parser."""
    found = add_command(group(commands, 'import', 'what other key managers keep'), 'barbican',
                        import_barbican)
    found.add_argument('--barbican-conf', metavar='FILE',
                       help='the barbican.conf, for the database and the master keys')
    place = found.add_mutually_exclusive_group()
    place.add_argument('--database-file', metavar='FILE', help='a file with the URL of its database')
    place.add_argument('--database', metavar='URL', help='the URL itself; everybody on this host can '
                       'see it, so use this only where there is no password in it')
    found.add_argument('--kek', metavar='FILE', action='append', default=[],
                       help='a file with a master key of simple_crypto, or one a line; may be given '
                            'several times')
    found.add_argument('--store', metavar='NAME', help='the secret store payloads go to; the default '
                                                       'one if not given')
    add_pace(found)
