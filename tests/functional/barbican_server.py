# SPDX-License-Identifier: Apache-2.0
"""Run a real Barbican, the service that km imports from.

Tests call ``barbican``. What it starts is this same module, run as a program, so that Barbican's
libraries stay out of the process of the tests. Its pipeline is the usual one but for the token, which
nobody checks: whoever asks says in headers who it is, as a checked token would.
"""
import configparser
import contextlib
import importlib.util
import os
import signal
import sys
from pathlib import Path

import requests
from gunicorn.app.base import BaseApplication

from tests.functional.servers import (
    HOST,
    ServerError,
    http_answers,
    reserved_port,
    running,
    wait_until,
)

REPOSITORY = Path(__file__).parents[2]
ROLES = 'admin,member,service-admin'
_PASTE = """
[composite:main]
use = egg:Paste#urlmap
/: versions
/v1: api
[pipeline:versions]
pipeline = microversion versions_alone
[pipeline:api]
pipeline = request_id context microversion api_alone
[app:versions_alone]
paste.app_factory = barbican.api.app:create_version_app
[app:api_alone]
paste.app_factory = barbican.api.app:create_main_app
[filter:request_id]
paste.filter_factory = oslo_middleware.request_id:RequestId.factory
[filter:context]
paste.filter_factory = barbican.api.middleware.context:ContextMiddleware.factory
[filter:microversion]
paste.filter_factory = barbican.api.middleware.microversion:MicroversionMiddleware.factory
"""


class Barbican:
    """A running Barbican.

    :ivar url: of its API, without /v1.
    :ivar conf: the path of its barbican.conf.
    """

    def __init__(self, port, conf):
        self.url, self.conf = f'http://{HOST}:{port}', conf
        self._http = requests.Session()
        self._http.trust_env = False

    def ask(self, method, path, json=None, *, user='ann', project='alpha', roles=ROLES, **headers):
        """The response to a request of that user, who has those roles in that project."""
        sent = {'X-Identity-Status': 'Confirmed', 'X-Project-Id': project, 'X-User-Id': user,
                'X-Roles': roles, **{name.replace('_', '-'): value for name, value in headers.items()}}
        return self._http.request(method, path if path.startswith('http') else self.url + path,
                                  json=json, headers=sent, timeout=30)

    def made(self, path, json, **who):
        """The id of a new thing."""
        answer = self.ask('POST', path, json, **who)
        assert answer.status_code in (201, 202), answer.text
        return next(iter(answer.json().values())).rpartition('/')[2]


@contextlib.contextmanager
def barbican(folder, connection, **sections):
    """Run a Barbican that keeps its files and its log in ``folder``; give a ``Barbican``.

    :param connection: URL of its database, which may be empty.
    :param sections: more of its options, a dict for each section.
    """
    if importlib.util.find_spec('barbican') is None:
        raise ServerError('Barbican not found; install the package barbican from PyPI')
    log = folder / 'barbican.log'
    with reserved_port() as port:
        # Where Barbican looks for it, in what it takes for the home of its user.
        conf = folder / '.barbican' / 'barbican.conf'
        conf.parent.mkdir()
        write(conf, {
            'DEFAULT': {'host_href': f'http://{HOST}:{port}', 'db_auto_create': 'true'},
            'database': {'connection': connection}, **sections})
        (folder / 'paste.ini').write_text(_PASTE)
        command = [sys.executable, '-m', __name__, str(folder), str(port)]
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith('OS_')} | {'HOME': str(folder)}
        with running(command, log, cwd=REPOSITORY, env=environment) as process:
            wait_until(lambda: http_answers(port), process, log)
            yield Barbican(port, conf)


def write(path, sections):
    options = configparser.ConfigParser(interpolation=None)
    options.read_dict(sections)
    with path.open('w') as file:
        options.write(file)
    path.chmod(0o600)


class Program(BaseApplication):
    """Gunicorn with Barbican's API inside."""

    def __init__(self, folder, port):
        """Take where paste.ini is, and the port to listen on."""
        self.folder, self.port = folder, port
        super().__init__()

    def load_config(self):
        """Set the few options of Gunicorn that matter here."""
        self.cfg.set('bind', f'{HOST}:{self.port}')
        self.cfg.set('worker_class', 'gthread')
        self.cfg.set('threads', 1)
        self.cfg.set('keepalive', 600)
        self.cfg.set('graceful_timeout', 1)
        self.cfg.set('control_socket_disable', True)

    def load(self):
        """Give Barbican's WSGI application."""
        from paste.deploy import loadapp  # noqa: PLC0415  of Barbican's libraries

        return loadapp(f'config:{self.folder}/paste.ini', name='main')


if __name__ == '__main__':
    # A shell that runs the tests in the background has them, and their children, ignore SIGINT.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    folder, port = sys.argv[1:]
    sys.argv = sys.argv[:1]
    Program(folder, port).run()
