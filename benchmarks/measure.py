# SPDX-License-Identifier: Apache-2.0
"""Measures: each kind of request right after hello-world, round after round."""
import contextlib
import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import usage
from benchmarks.client import Client, Request
from benchmarks.stage import Stage, serving
from tests.functional.servers import reserved_port

# As many secrets as one client reads in turn; the tables' pages are then in memory, as they are on
# a server that is busy.
_READ = 100


@dataclass(frozen=True)
class Kind:
    """A kind of request, what it may cost, and a part of its requests that will do.

    :param target: the most that its ratio to hello-world may be; None where nobody said.
    :param share: of the requests a round.
    """

    name: str
    request: Request
    target: float | None
    share: float = 1.0


@dataclass
class Series:
    """What the rounds found of one kind, an element a round."""

    kind: Kind
    cpu_ms: list[float] = field(default_factory=list)
    hello_ms: list[float] = field(default_factory=list)
    database_ms: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """km to hello-world, each in the same round."""
        return [ours / theirs for ours, theirs in zip(self.cpu_ms, self.hello_ms, strict=True)]

    @property
    def ratio(self) -> float:
        """The one to judge by."""
        return statistics.median(self.ratios)


@dataclass(frozen=True)
class Outcome:
    """A whole run: series, and the resident MB of each worker process at the end."""

    series: list[Series]
    memory: list[float]
    hello_memory: list[float]


def kinds(stage: Stage, read: list[str]) -> list[Kind]:
    """The requests to measure.

    :param read: paths of secrets with payloads.
    """
    def ask(size: int, paths: list[str], accept: str = 'application/json', **more) -> Request:
        return Request(stage.port, tuple(paths), headers={
            'X-Auth-Token': stage.callers[size].token, 'Accept': accept}, **more)

    post = ask(0, ['/v1/secrets'], method='POST', status=201, posts=True)
    post.headers['Content-Type'] = 'application/json'
    order = ask(0, ['/v1/orders'], method='POST', status=202, content=json.dumps({
        'type': 'key', 'meta': {'algorithm': 'aes', 'bit_length': 256}}).encode())
    order.headers['Content-Type'] = 'application/json'
    found = [
        Kind('get-payload', ask(0, [f'{path}/payload' for path in read],
                                'application/octet-stream'), 3),
        Kind('post', post, 4),
        # The key is there, and the order active, when the answer is.
        Kind('order-key', order, 6),
        Kind('get-metadata', ask(0, read), None)]
    # Fewer of those: PostgreSQL takes long to count what matches.
    return found + [Kind(f'list-{size}', ask(size, ['/v1/secrets?limit=10']), 4, 0.3)
                    for size in sorted(stage.callers.keys() - {0})]


def secrets(stage: Stage, send) -> list[str]:
    """Paths of new secrets with payloads.

    :param send: sends a request and returns bodies of answers, like ``Client.send``.
    """
    post = next(kind for kind in kinds(stage, []) if kind.name == 'post').request
    return ['/v1/' + json.loads(body)['secret_ref'].partition('/v1/')[2]
            for _ in range(_READ // 2) for body in send(post, 2)]


def measured(stage: Stage, folder: Path, *, rounds: int, requests: int) -> Outcome:
    """Run both servers, and measure.

    :param requests: how many requests of a kind a round has.
    """
    with (_both(stage, folder) as (ours, theirs, hello), Client() as client):
        series = [Series(kind) for kind in kinds(stage, secrets(stage, client.send))]
        for kind in [hello, *(one.kind for one in series)]:
            client.send(kind.request, _count(kind, max(requests // 2, 50)))  # warms both up
        for _ in range(rounds):
            for one in series:
                _round(one, stage, client, (ours, theirs, hello), requests)
        return Outcome(series, [usage.resident_mb(pid) for pid in ours],
                       [usage.resident_mb(pid) for pid in theirs])


@contextlib.contextmanager
def _both(stage: Stage, folder: Path) -> Iterator[tuple[list[int], list[int], Kind]]:
    with (reserved_port() as port,
          serving('km.wsgi:application', stage.port, folder, stage.conf) as ours,
          serving('benchmarks.hello:application', port, folder, stage.conf) as theirs):
        yield ours, theirs, Kind('hello', Request(port, ('/',)), None)


def _round(series: Series, stage: Stage, client: Client, sides: tuple, requests: int) -> None:
    ours, theirs, hello = sides
    cost = _cost(client, hello, theirs, requests)
    series.hello_ms.append(cost)
    before = usage.family_cpu_seconds(stage.postgresql)
    series.cpu_ms.append(_cost(client, series.kind, ours, requests))
    used = usage.family_cpu_seconds(stage.postgresql) - before
    series.database_ms.append(used * 1000 / _count(series.kind, requests))


def _cost(client: Client, kind: Kind, workers: list[int], requests: int) -> float:
    """CPU milliseconds of the workers for each request."""
    count, before = _count(kind, requests), usage.cpu_seconds(workers)
    client.send(kind.request, count)
    return usage.cpu_between(before, usage.cpu_seconds(workers)) * 1000 / count


def _count(kind: Kind, requests: int) -> int:
    return max(2, int(requests * kind.share))
