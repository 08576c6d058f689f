# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks.launch SERVER PORT``: km in two processes of a server that has only threads.

The servers with processes of their own have commands, which ``benchmarks.servers`` knows.
"""
import importlib
import os
import signal
import socket
import sys
from collections.abc import Callable

import cheroot.wsgi
import waitress

_HOST = '127.0.0.1'
_PROCESSES = 2
_THREADS = 8


def _application() -> Callable:
    """km, made in the process that asks."""
    return importlib.import_module('km.wsgi').application


def _waitress(listener: socket.socket) -> None:
    waitress.serve(_application(), sockets=[listener], threads=_THREADS, asyncore_use_poll=True,
                   connection_limit=1000)


def _cheroot(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    server = cheroot.wsgi.Server((_HOST, port), _application(), numthreads=_THREADS, reuse_port=True)
    try:
        server.start()
    finally:
        server.stop()


def main() -> None:
    """Fork, serve, and end the children on a signal."""
    serve = {'waitress': _waitress, 'cheroot': _cheroot}[sys.argv[1]]
    listener = socket.create_server((_HOST, int(sys.argv[2])), backlog=1024)
    children = []
    for _ in range(_PROCESSES):
        child = os.fork()
        if not child:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            serve(listener)
            os._exit(0)
        children.append(child)
    listener.close()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: [os.kill(child, signal.SIGTERM) for child in children])
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))


if __name__ == '__main__':
    main()
