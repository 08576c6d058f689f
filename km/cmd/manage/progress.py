# SPDX-License-Identifier: Apache-2.0
"""How far long work has come: a bar on a terminal, lines elsewhere; and how fast it may go."""
import argparse
import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

#: Pause between lines where there is no terminal.
_LINE_SECONDS = 10.0


class Progress:
    """Counts what is done, on standard error; and holds it up, if it must go slowly.

    Use it in a ``with`` block.
    """

    def __init__(self, what: str, *, total: int, per_second: float | None = None):
        """:param what: is counted, such as ``secrets``.
        :param total: how many there are, as far as anybody knows.
        :param per_second: how many may be done in a second; None for no limit.
        """
        self._what, self._total, self._per_second = what, total, per_second
        self._done, self._began = 0, time.monotonic()
        self._said = self._began
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(total=total, unit=f' {what}', disable=not self._terminal, leave=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._bar.close()

    def step(self, number: int = 1) -> None:
        """Note that so many more are done."""
        self._done += number
        self._bar.update(number)
        now = time.monotonic()
        if not self._terminal and now - self._said >= _LINE_SECONDS:
            self._said = now
            print(f'{self._done} of {self._total} {self._what}', file=sys.stderr, flush=True)
        if self._per_second:
            time.sleep(max(0.0, self._began + self._done / self._per_second - now))


def add_pace(parser: argparse.ArgumentParser) -> None:
    """Give a command ``--per-second`` and ``--dry-run``."""
    parser.add_argument('--per-second', type=_positive, metavar='N',
                        help='do no more in a second, to leave room for those who use km')
    parser.add_argument('--dry-run', action='store_true', help='say what would be done, and do nothing')


def _positive(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise ValueError('not positive')
    return number
