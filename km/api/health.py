# SPDX-License-Identifier: Apache-2.0
"""``GET /readiness``: whether this process can do its work, asked of all it needs for it. A store that
is down, and neither the default one nor required, is told of, and no reason to ask somebody else.

Anybody may ask, a load balancer has no token: so the answer names parts and says of each ``ok`` or
``failed`` and nothing else. The log of km says why. ``/healthcheck`` asks nothing and tells only that
the process lives: restart on that one, take out of the balance on this one.
"""
import json
from collections.abc import Callable, Iterable
from typing import Any

from km.db.engine import Database
from km.interfaces import RpcTransport
from km.lifecycle import health
from km.lifecycle.context import NOBODY
from km.lifecycle.health import Probe
from km.worker.client import Worker

#: A worker answers for its stores within the patience it has with them, and the way there and back.
_WORKER_PATIENCE_SECONDS = health.PATIENCE_SECONDS + 1.0


class Health:
    """How the parts of this process are, as of the last seconds: the metadata database, the transport,
    and a worker, who is asked about the secret stores, for only there they are."""

    def __init__(self, *, database: Database, transport: RpcTransport, worker: Worker):
        self._probes = {
            'database': Probe('The metadata database', database.ping),
            'transport': Probe('The transport', transport.check),
            'worker': Probe('The worker', lambda: worker.call(health.states, NOBODY),
                            patience=_WORKER_PATIENCE_SECONDS)}

    def states(self) -> tuple[dict[str, bool], dict[str, list[bool]]]:
        """Whether each part works, by name; and of each store whether it works and whether it must. A
        worker that is silent tells of none."""
        for probe in self._probes.values():
            probe.ask()
        parts = {name: probe.works() for name, probe in self._probes.items()}
        return parts, self._probes['worker'].answer() or {}


class Readiness:
    """WSGI app: 200 if every part works, else 503, and JSON that says which do."""

    def __init__(self, health: Health):
        self._health = health

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        parts, stores = self._health.states()
        ready = all((*parts.values(), *(works for works, must in stores.values() if must)))
        body = json.dumps({'ready': ready, **_words(parts), 'secret_stores': _words(
            {name: works for name, (works, _) in stores.items()})}).encode()
        environ['km.rendered'] = True
        start_response('200 OK' if ready else '503 Service Unavailable', [
            ('Content-Type', 'application/json'), ('Content-Length', str(len(body))),
            ('Cache-Control', 'no-store')])
        return [body]


def _words(states: dict[str, bool]) -> dict[str, str]:
    return {name: 'ok' if works else 'failed' for name, works in states.items()}
