# SPDX-License-Identifier: Apache-2.0
"""``km-api``: the API on its port, served by gunicorn.

gunicorn was chosen by ``python -m benchmarks --servers`` over granian, uWSGI, waitress and cheroot. It
refuses requests with two lengths (granian and waitress do not), reads chunked bodies (uWSGI does not)
and ends requests under way on SIGTERM, in several processes (cheroot has one). granian takes about a
third less CPU for a request. What gunicorn lacks, patience with slow clients, ``km.cmd.gathering`` adds.
"""
import socket
import sys

from gunicorn.app.base import BaseApplication
from oslo_config import cfg

from km.api.authentication import is_loopback
from km.cmd import run, tried_apart
from km.cmd.gathering import GatheringWorker
from km.conf.load import load
from km.deploy import Deployment, start_logging
from km.errors import Misconfigured

_GRACE_SECONDS = 5


class Server(BaseApplication):
    """gunicorn, with ``[api]`` for its configuration and a ``Deployment`` in each process."""

    def __init__(self, conf: cfg.ConfigOpts, listener: socket.socket):
        self._conf, self._listener = conf, listener
        super().__init__()

    def load_config(self) -> None:
        for name, value in {
            'bind': f'fd://{self._listener.fileno()}', 'workers': self._conf.api.workers,
            'worker_class': GatheringWorker, 'threads': self._conf.api.threads, 'keepalive': 30,
            'graceful_timeout': _GRACE_SECONDS, 'loglevel': 'warning', 'control_socket_disable': True,
        }.items():
            self.cfg.set(name, value)

    def load(self):
        """What gunicorn asks of each process it has forked: the WSGI app."""
        deployment = Deployment(self._conf)
        deployment.start()
        self.cfg.set('worker_exit', lambda _server, _worker: deployment.close())
        return deployment.application


def listener(conf: cfg.ConfigOpts) -> socket.socket:
    """The socket of the API, bound.

    :raises Misconfigured: it cannot be, or must not be with this ``auth_strategy``.
    """
    host, port = conf.api.bind_host, conf.api.bind_port
    if conf.api.auth_strategy == 'noauth' and not (
            is_loopback(host) or conf.api.noauth_for_everyone):
        raise Misconfigured(f'[api] bind_host: with auth_strategy = noauth km does not listen on '
                            f'{host}, unless noauth_for_everyone is set too.')
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ':' in host else socket.AF_INET, backlog=2048)
    except OSError as error:
        raise Misconfigured(f'[api] bind_host, bind_port: cannot listen on {host}:{port}: '
                            f'{error.strerror or error}.') from None


def serve(conf: cfg.ConfigOpts, bound: socket.socket) -> None:
    """Serve on a listening socket until SIGTERM or Ctrl-C.

    :raises Misconfigured, Unavailable: km cannot work as configured.
    """
    start_logging(conf)
    tried_apart(lambda: Deployment(conf).close())  # what is wrong is said here, once
    Server(conf, bound).run()


def main() -> None:
    """``km-api [--config-file FILE]``"""
    sys.exit(run(_main))


def _main() -> None:
    conf = load(sys.argv[1:])
    serve(conf, listener(conf))
