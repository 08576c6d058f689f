# SPDX-License-Identifier: Apache-2.0
"""Start and stop the real servers that functional tests and benchmarks run against.

Here are the means to run any server; each kind of server has a module of its own, beside this one.
Every server listens on 127.0.0.1 only, keeps what it writes in a temporary folder, stops at the end
of its `with` block, and also ends when the process that started it is killed.
"""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import time

HOST = '127.0.0.1'
START_SECONDS = 120
STOP_SECONDS = 10


class ServerError(Exception):
    """A server cannot be started; the message says why, or what to install."""


@contextlib.contextmanager
def reserved_port():
    """Give a port of 127.0.0.1 that nobody else gets while the block lasts.

    It stays bound here without listening. A server that sets SO_REUSEADDR, as nearly all do, can
    bind it all the same, while the kernel hands it to nobody who asks for any free port.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((HOST, 0))
        yield holder.getsockname()[1]


@contextlib.contextmanager
def running(command, log, *, stop_signal=signal.SIGINT, **options):
    """Run `command`, its output going to the file `log`, and stop it when the block ends.

    Gives the `Popen` object; `options` are more arguments for its making. The command must end
    on `stop_signal`. SIGINT is, of the signals that end a server in order, the one which has
    PostgreSQL, Gunicorn and uWSGI wait for no client. The thread that starts it has to live as
    long as it.
    """
    with log.open('ab') as output:
        process = subprocess.Popen(
            _tied(command, stop_signal),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the test run, which then stops its servers in order.
            start_new_session=True,
            **options,
        )
    try:
        yield process
    finally:
        _stop(process, stop_signal)


def _tied(command, stop_signal):
    """Give `command` changed so that it gets `stop_signal` when the thread that starts it dies.

    That is the death of the whole test run too, even a sudden one that runs no clean-up.
    """
    setpriv = shutil.which('setpriv')
    return [setpriv, f'--pdeathsig={stop_signal.name}', '--', *command] if setpriv else command


def _stop(process, stop_signal):
    """End `process` with `stop_signal`, and by force what is left of it and its children."""
    process.send_signal(stop_signal)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def wait_until(ready, process, log):
    """Wait until `ready()` is true; raise `ServerError` with the end of `log` if it never is."""
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise ServerError(f'{log.stem} did not start:\n{_tail(log)}')
        time.sleep(0.02)


def _tail(log):
    """Give the last lines of the file `log`."""
    return '\n'.join(log.read_text(errors='replace').splitlines()[-30:])


def http_answers(port, path='/'):
    """Tell whether a GET of `path` on `port` is answered with success."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request('GET', path)
        return connection.getresponse().status < 400
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
