# SPDX-License-Identifier: Apache-2.0
"""WSGI servers with km in them: what a request costs, and how each behaves when clients do not.

Every server has two processes of eight threads. The servers take turns, round after round, so that
whatever slows the machine down slows all.
"""
import contextlib
import http.client
import os
import signal
import socket
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks import usage
from benchmarks.client import HOST, Client
from benchmarks.measure import kinds, secrets
from benchmarks.stage import REPOSITORY, Stage
from tests.functional.servers import http_answers, reserved_port, running, wait_until

_APP = 'km.wsgi:application'
_MANY = 40
_PATIENCE = 2
#: Its settings are km-api's.
_GUNICORN = (
    sys.executable, '-m', 'gunicorn', '--config', 'python:benchmarks.gunicorn_settings')

#: What starts each; {} is the port.
COMMANDS = {
    'km-api': (*_GUNICORN, '--http-parser', 'python', '--bind', f'{HOST}:{{}}', _APP),
    'gthread': (*_GUNICORN, '--worker-class', 'gthread', '--http-parser', 'python',
                '--bind', f'{HOST}:{{}}', _APP),
    'gthread+h1c': (*_GUNICORN, '--worker-class', 'gthread', '--http-parser', 'fast',
                    '--bind', f'{HOST}:{{}}', _APP),
    'granian': (
        sys.executable, '-m', 'granian', '--interface', 'wsgi', '--host', HOST, '--port', '{}',
        '--workers', '2', '--blocking-threads', '8', '--http', '1', '--no-ws',
        '--log-level', 'warning', '--workers-kill-timeout', '5', _APP),
    'uwsgi': (
        f'{sysconfig.get_path("scripts")}/uwsgi', '--http11-socket', f'{HOST}:{{}}', '--master',
        '--processes', '2', '--threads', '8', '--module', _APP, '--lazy-apps', '--need-app',
        '--die-on-term', '--disable-logging', '--buffer-size', '32768'),
    'waitress': (sys.executable, '-m', 'benchmarks.launch', 'waitress', '{}'),
    'cheroot': (sys.executable, '-m', 'benchmarks.launch', 'cheroot', '{}'),
}


@dataclass
class Server:
    """A server that runs, and what was found out about it.

    :param cpu_ms: CPU milliseconds a request, by kind of request, an element a round.
    :param found: answers of the probes.
    """

    name: str
    port: int
    process: subprocess.Popen
    cpu_ms: dict[str, list[float]] = field(default_factory=dict)
    found: dict[str, str] = field(default_factory=dict)

    def family(self) -> list[int]:
        """Its processes: the first and those it forked."""
        return [self.process.pid, *usage.children(self.process.pid)]


def compared(stage: Stage, folder: Path, *, rounds: int, requests: int) -> str:
    """A table of all servers."""
    servers = []
    with contextlib.ExitStack() as stack, Client() as client:
        servers.extend(stack.enter_context(_serving(name, folder, stage)) for name in COMMANDS)
        _measure(servers, stage, client, rounds=rounds, requests=requests)
        for server in servers:
            server.found['MB'] = f'{max(map(usage.resident_mb, server.family())):.0f}'
    for measured in servers:
        for probes in PROBES:
            with _serving(measured.name, folder, stage) as server:
                measured.found |= {title: probe(server, stage) for title, probe in probes.items()}
        print(measured.name, measured.found, file=sys.stderr)
    return _table(servers)


@contextlib.contextmanager
def _serving(name: str, folder: Path, stage: Stage) -> Iterator[Server]:
    log = folder / f'{name}.log'
    with reserved_port() as port:
        # uwsgi and granian cannot bind a port that somebody holds, be it only reserved.
        pass
    command = [word.format(port) for word in COMMANDS[name]]
    environment = os.environ | {'KM_CONF': str(stage.conf)}
    with running(command, log, cwd=REPOSITORY, env=environment) as process:
        wait_until(lambda: http_answers(port, '/healthcheck'), process, log)
        time.sleep(1)  # until the other process answers too
        yield Server(name, port, process)


def _measure(servers: list[Server], stage: Stage, client: Client, *, rounds: int, requests: int) -> None:
    def send(request, count):
        return client.send(replace(request, port=servers[0].port), count)

    measured = [kind for kind in kinds(stage, secrets(stage, send)) if kind.name in (
        'get-payload', 'post', 'get-metadata')]
    for number in range(rounds + 1):
        for kind in measured:
            for server in servers:
                request, pids = replace(kind.request, port=server.port), server.family()
                before = usage.cpu_seconds(pids)
                client.send(request, requests)
                used = usage.cpu_between(before, usage.cpu_seconds(pids)) * 1000 / requests
                if number:  # the first warms up
                    server.cpu_ms.setdefault(kind.name, []).append(used)


# ---- probes: each takes a server of its own, and says in a word or two what it did

def _half_heads(server: Server, stage: Stage) -> str:
    return _while_clients_send(server, b'GET /healthcheck HTTP/1.1\r\nHost: x\r\nX-Half')


def _slow_bodies(server: Server, stage: Stage) -> str:
    return _while_clients_send(server, _post(stage, length=200) + b'{')


def _while_clients_send(server: Server, sent: bytes) -> str:
    with contextlib.ExitStack() as stack:
        for _ in range(_MANY):
            sock = stack.enter_context(socket.create_connection((HOST, server.port)))
            sock.sendall(sent)
        time.sleep(0.5)
        began = time.monotonic()
        while time.monotonic() - began < 20:
            if _answers(server.port):
                waited = time.monotonic() - began
                return 'serves' if waited < 1 else f'blocked {waited:.0f} s'
        return 'blocked > 20 s'


def _answers(port: int) -> bool:
    """Whether several new connections in a row are answered: each process gets its turn."""
    for _ in range(8):
        connection = http.client.HTTPConnection(HOST, port, timeout=_PATIENCE)
        try:
            connection.request('GET', '/healthcheck')
            connection.getresponse().read()
        except OSError:
            return False
        finally:
            connection.close()
    return True


def _post(stage: Stage, *, length: int) -> bytes:
    return (f'POST /v1/secrets HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {stage.callers[0].token}\r\n'
            f'Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n').encode()


def _stopped_in_flight(server: Server, stage: Stage) -> str:
    """SIGTERM while a body is still coming, whose rest comes a second later."""
    pids = server.family()
    with socket.create_connection((HOST, server.port)) as sock:
        sock.settimeout(8)
        sock.sendall(_post(stage, length=2) + b'{')
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        try:
            sock.sendall(b'}')
            status = sock.recv(100)[9:12].decode() or 'cut'
        except OSError:
            status = 'cut'
    try:
        code = str(server.process.wait(12))
    except subprocess.TimeoutExpired:
        code = 'hangs'
    left = [pid for pid in pids if Path(f'/proc/{pid}/exe').exists() and pid != server.process.pid]
    return f'{status}, exit {code}' + (f', {len(left)} left' if left else '')


def _both_lengths(server: Server, stage: Stage) -> str:
    sent = _post(stage, length=4).replace(b'\r\n\r\n', b'\r\nTransfer-Encoding: chunked\r\n\r\n')
    return _said(server, sent + b'2\r\n{}\r\n0\r\n\r\n')


def _chunked(server: Server, stage: Stage) -> str:
    sent = _post(stage, length=4).replace(b'Content-Length: 4', b'Transfer-Encoding: chunked')
    return _said(server, sent + b'1\r\n{\r\n1\r\n}\r\n0\r\n\r\n')


def _long_header(server: Server, stage: Stage) -> str:
    return _said(server, b'GET / HTTP/1.1\r\nHost: x\r\nX-A: ' + b'x' * 100_000 + b'\r\n\r\n')


def _many_headers(server: Server, stage: Stage) -> str:
    return _said(server, b'GET / HTTP/1.1\r\nHost: x\r\n' + b'X-A: x\r\n' * 1000 + b'\r\n')


def _bare_line_feeds(server: Server, stage: Stage) -> str:
    return _said(server, b'GET / HTTP/1.1\nHost: x\n\n')


def _folded(server: Server, stage: Stage) -> str:
    return _said(server, b'GET / HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n 2\r\n\r\n')


def _after_413(server: Server, stage: Stage) -> str:
    """A body over the limit with a request hidden in it, and what is answered."""
    return _said(server, _post(stage, length=30000) + b'GET /hidden HTTP/1.1\r\n\r\n' + b'x' * 29976)


def _said(server: Server, sent: bytes) -> str:
    """The statuses of what comes back until the server closes, or three seconds have passed."""
    received = b''
    with socket.create_connection((HOST, server.port), _PATIENCE) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(sent)
        with contextlib.suppress(OSError):
            while more := sock.recv(65536):
                received += more
    if b'Traceback' in received:
        return 'TRACEBACK'
    return ' '.join(line[9:12].decode() for line in received.splitlines()
                    if line.startswith(b'HTTP/1.')) or 'hangs up'


#: Those of one dict ask one server, in their order.
PROBES: tuple[dict[str, Callable[[Server, Stage], str]], ...] = (
    {'40 half heads': _half_heads},
    {'40 slow bodies': _slow_bodies},
    {'both lengths': _both_lengths, 'chunked': _chunked, '100 kB header': _long_header,
     '1000 headers': _many_headers, 'bare LF': _bare_line_feeds, 'folded': _folded,
     '413': _after_413, 'SIGTERM in a body': _stopped_in_flight},
)


def _table(servers: list[Server]) -> str:
    titles = [*next(iter(servers)).cpu_ms, *next(iter(servers)).found]
    rows = [['', *(server.name for server in servers)],
            *([title, *(_cell(server, title) for server in servers)] for title in titles)]
    return '\n'.join(''.join(cell.ljust(19) for cell in row).rstrip() for row in rows)


def _cell(server: Server, title: str) -> str:
    if title in server.cpu_ms:
        return f'{statistics.median(server.cpu_ms[title]):.3f} ms'
    return server.found[title]
