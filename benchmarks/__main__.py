# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks [--quick] [--profile NAME | --servers | --stores]``, from the root of the
repository."""
import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import stores
from benchmarks.measure import measured
from benchmarks.profiling import report
from benchmarks.servers import compared
from benchmarks.stage import stage
from benchmarks.table import table

_SIZES, _QUICK_SIZES = (1000, 100_000), (100, 1000)


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line says."""
    options = _options(arguments)
    sizes = _QUICK_SIZES if options.quick else _SIZES
    requests = options.requests or (60 if options.quick else 1000)
    rounds = options.rounds or (2 if options.quick else 7)
    with tempfile.TemporaryDirectory(prefix='km-benchmark-') as home:
        folder = Path(home)
        if options.stores:
            print(stores.compared(folder, rounds=rounds))
            return
        print('Starting PostgreSQL and Keystone, filling tables ...', file=sys.stderr)
        with stage(folder, sizes) as ready:
            if options.profile:
                options.report.write_text(report(ready, options.profile, requests))
                print(f'Written: {options.report}', file=sys.stderr)
                return
            print(f'{rounds} rounds of {requests} requests a kind ...', file=sys.stderr)
            if options.servers:
                print(compared(ready, folder, rounds=rounds, requests=requests))
                return
            print(table(measured(ready, folder, rounds=rounds, requests=requests)))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks',
        description='CPU time of km per request, against a hello-world Pecan application.')
    parser.add_argument('--quick', action='store_true',
                        help='few requests and rows: shows that it runs, measures little')
    parser.add_argument('--rounds', type=int, help='how often to measure each kind')
    parser.add_argument('--requests', type=int, help='requests of a kind in a round')
    parser.add_argument('--profile', metavar='NAME',
                        help='profile one kind of request in process instead: get-payload, post, '
                             'get-metadata, list-1000, list-100000')
    parser.add_argument('--servers', action='store_true',
                        help='compare WSGI servers with km in them instead')
    parser.add_argument('--stores', action='store_true',
                        help='compare secret stores with the bare cipher, token or server instead')
    parser.add_argument('--report', type=Path, metavar='FILE',
                        help='where --profile writes; profile-NAME.txt')
    options = parser.parse_args(arguments)
    options.report = options.report or Path(f'profile-{options.profile}.txt')
    return options


if __name__ == '__main__':
    main()
