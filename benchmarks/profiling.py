# SPDX-License-Identifier: Apache-2.0
"""Where the time of one kind of request goes: km in this process, under cProfile."""
import cProfile
import io
import pstats
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.client import Request
from benchmarks.measure import kinds, secrets
from benchmarks.stage import Stage
from km.conf.load import load
from km.deploy import Deployment, start_logging

_LINES = 70
_PACKAGE = re.compile(r'site-packages/([^/.]+)')


def report(stage: Stage, name: str, requests: int) -> str:
    """A profile as text, its times in microseconds a request.

    :param name: of the kind of request.
    :raises SystemExit: there is no such kind.
    """
    conf = load(files=[str(stage.conf)])
    start_logging(conf)
    deployment = Deployment(conf)
    try:
        return _report(stage, deployment.application, name, requests)
    finally:
        deployment.close()


def _report(stage: Stage, application: Callable, name: str, requests: int) -> str:
    paths = secrets(stage, lambda request, count: [
        _ask(application, request, number) for number in range(count)])
    found = {kind.name: kind.request for kind in kinds(stage, paths)}
    if name not in found:
        raise SystemExit(f'There is no {name!r}; there are: {", ".join(found)}.')

    def run() -> None:
        for number in range(requests):
            _ask(application, found[name], number)

    run()  # warms up
    began = time.thread_time()
    run()
    plain = time.thread_time() - began
    profile = cProfile.Profile(time.thread_time)
    profile.runcall(run)
    heading = (f'{name}: {plain / requests * 1e6:.0f} us of CPU a request in process, without the '
               'server and without the profiler.\nThe times below are microseconds a request too; '
               'the profiler adds to calls of Python functions, most to short ones.\n')
    return heading + _profile_text(profile, requests)


def _profile_text(profile: cProfile.Profile, requests: int) -> str:
    rows = [
        (_place(*function), calls / requests, own / requests * 1e6, cumulative / requests * 1e6)
        for function, (_, calls, own, cumulative, _)
        in pstats.Stats(profile, stream=io.StringIO()).stats.items()]
    packages: Counter[str] = Counter()
    for place, _, own, _ in rows:
        packages[place.partition('/')[0].partition(':')[0]] += own
    return '\n'.join([
        '\nBy package, own time:',
        *(f'{own:9.1f}  {package}' for package, own in packages.most_common(25)),
        *_rows('By function, with what it calls', rows, by=3),
        *_rows('By function, own time', rows, by=2), ''])


def _rows(title: str, rows: list[tuple], *, by: int) -> list[str]:
    return [f'\n{title}:', '     with      own    calls  function', *(
        f'{cumulative:9.1f}{own:9.1f}{calls:9.2f}  {place}' for place, calls, own, cumulative
        in sorted(rows, key=lambda row: row[by], reverse=True)[:_LINES])]


def _place(path: str, line: int, function: str) -> str:
    """A function as ``package/module.py:line name``, without the folders of this machine."""
    if path == '~':
        return f'(C):{function}'
    if package := _PACKAGE.search(path):
        return f'{path[package.start(1):]}:{line} {function}'
    parts = Path(path).parts
    for root in ('km', 'benchmarks'):
        if root in parts[:-1]:
            return f'{"/".join(parts[parts.index(root):])}:{line} {function}'
    return f'(standard library):{parts[-1]}:{line} {function}'


def _ask(application: Callable, request: Request, number: int) -> bytes:
    """The body of the answer to a request, made as a WSGI server makes one.

    :raises RuntimeError: the answer did not have the status it must have.
    """
    sent: list[str] = []
    environ = _environ(request, request.paths[number % len(request.paths)])
    answer = application(environ, lambda status, headers, exc_info=None: sent.append(status))
    body = b''.join(answer)
    if hasattr(answer, 'close'):
        answer.close()
    if int(sent[0][:3]) != request.status:
        raise RuntimeError(f'{request.method} {environ["PATH_INFO"]}: {sent[0]} {body[:300]!r}')
    return body


def _environ(request: Request, target: str) -> dict:
    body, url = request.body() or b'', urlsplit(target)
    environ = {
        'REQUEST_METHOD': request.method, 'PATH_INFO': url.path, 'QUERY_STRING': url.query,
        'SCRIPT_NAME': '', 'SERVER_NAME': '127.0.0.1', 'SERVER_PORT': str(request.port),
        'SERVER_PROTOCOL': 'HTTP/1.1', 'REMOTE_ADDR': '127.0.0.1',
        'HTTP_HOST': f'127.0.0.1:{request.port}', 'HTTP_ACCEPT_ENCODING': 'identity',
        'wsgi.version': (1, 0), 'wsgi.url_scheme': 'http', 'wsgi.input': io.BytesIO(body),
        'wsgi.errors': io.StringIO(), 'wsgi.multithread': True, 'wsgi.multiprocess': True,
        'wsgi.run_once': False}
    if body:
        environ['CONTENT_LENGTH'] = str(len(body))
    for header, value in request.headers.items():
        key = header.upper().replace('-', '_')
        environ[key if key == 'CONTENT_TYPE' else f'HTTP_{key}'] = value
    return environ
