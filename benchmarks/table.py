# SPDX-License-Identifier: Apache-2.0
"""The outcome of a run, as text."""
import statistics
from collections.abc import Iterator

from benchmarks.measure import Outcome, Series

_MEMORY_TARGET_MB = 120
_HEAD = ('request', 'CPU ms', 'hello ms', 'ratio (min-max)', 'target', '', 'DB CPU ms')
_WIDTHS = (14, 8, 9, 20, 7, 7, 10)


def table(outcome: Outcome) -> str:
    """The lines to print."""
    return '\n'.join(_lines(outcome))


def _lines(outcome: Outcome) -> Iterator[str]:
    yield _line(_HEAD)
    yield _line(['-' * (width - 1) for width in _WIDTHS])
    for series in outcome.series:
        yield _line(_cells(series))
    yield ''
    yield (f'resident memory of a worker process: {_megabytes(outcome.memory)}, target <= '
           f'{_MEMORY_TARGET_MB} MB: {_verdict(max(outcome.memory) <= _MEMORY_TARGET_MB)}; '
           f'hello-world {_megabytes(outcome.hello_memory)}')


def _cells(series: Series) -> list[str]:
    ratios, target = series.ratios, series.kind.target
    return [
        series.kind.name, f'{statistics.median(series.cpu_ms):.3f}',
        f'{statistics.median(series.hello_ms):.3f}',
        f'{series.ratio:.2f} ({min(ratios):.2f}-{max(ratios):.2f})',
        f'<= {target:g}' if target else '-',
        _verdict(series.ratio <= target) if target else '',
        f'{statistics.median(series.database_ms):.3f}']


def _line(cells) -> str:
    return ''.join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()


def _verdict(met: bool) -> str:
    return 'met' if met else 'MISSED'


def _megabytes(values: list[float]) -> str:
    return ' and '.join(f'{value:.0f} MB' for value in values)
