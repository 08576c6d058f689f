# SPDX-License-Identifier: Apache-2.0
"""A real km, started as an operator starts it, in each deployment; and those who ask it over HTTP."""
import base64
import configparser
import contextlib
import functools
import json as jsonlib
import os
import re
import secrets
import signal
import socket
import subprocess
import sysconfig
import threading
from pathlib import Path

import keystoneauth1.http_basic
import keystoneauth1.session
import requests
import sqlalchemy

from km.testing.application import write_conf
from tests.functional.servers import HOST, http_answers, reserved_port, running, wait_until

#: How long km may take to end, whatever its clients are at.
STOP_SECONDS = 9
#: A word that every payload of these tests has in it, unless it is bytes, and no log may have.
MARK = 'unmistakable'

_PROGRAMS = Path(sysconfig.get_path('scripts'))
_LOG_LINES_SHOWN = 60
_SHORTEST_SECRET = 8


class Km:
    """A running km.

    :ivar deployment: how it is deployed, as the fixture ``km`` names it.
    :ivar url: of its API, without /v1.
    :ivar conf: the path of its km.conf.
    :ivar keystone: the Keystone it asks, or None.
    :ivar databases: the server its databases are on, or None if they are files.
    """

    def __init__(self, deployment, *, url, conf, log, process, keystone=None, databases=None):
        self.deployment, self.url, self.conf, self.log = deployment, url, conf, log
        self.process, self.keystone, self.databases = process, keystone, databases
        self._hidden, self._local, self._sessions = set(), threading.local(), {}

    # ---- who asks

    def session(self, who='alpha-member'):
        """A keystoneauth1 session of one of Keystone's users; of the only user, if standalone."""
        if who not in self._sessions:
            self._sessions[who] = self._new_session(who)
        return self._sessions[who]

    def user_id(self, who='alpha-member'):
        """What km knows this user by."""
        return self.session(who).get_user_id() if self.keystone else 'admin'

    def credentials(self, who='alpha-member'):
        """The headers that say who asks."""
        found = self.session(who).get_auth_headers()
        for value in found.values():
            self.hide(value.removeprefix('Basic '))
        return found

    def openrc(self):
        """What the quick start wrote for the clients of a standalone km."""
        text = (self.conf.parent / 'openrc').read_text()
        return dict(re.findall(r'^export (\w+)=(.*)$', text, re.MULTILINE))

    # ---- what is asked

    def ask(self, method, path, *, who='alpha-member', json=None, body=None, params=None, **headers):
        """The response to a request, over a connection that is kept open.

        :param who: None for somebody without credentials.
        :param json: an object to send as JSON; or else ``body``, bytes to send as they are.
        :param params: a query, as a dict.
        :param headers: header names with underscores for dashes; None leaves one out.
        """
        sent = {'Accept': None, 'Accept-Encoding': None} | (self.credentials(who) if who else {})
        if json is not None:
            body = jsonlib.dumps(json).encode()
            sent['Content-Type'] = 'application/json'
        sent |= {name.replace('_', '-'): value for name, value in headers.items()}
        self._hide_payload(json, body, sent.get('Content-Type'))
        if not hasattr(self._local, 'http'):
            self._local.http = requests.Session()
            self._local.http.trust_env = False
        return self._local.http.request(
            method, path if path.startswith('http') else self.url + path, data=body, headers=sent,
            params=params, allow_redirects=False, timeout=30)

    def get(self, path, **more):
        return self.ask('GET', path, **more)

    def post(self, path, json=None, **more):
        return self.ask('POST', path, json=json, **more)

    def put(self, path, json=None, **more):
        return self.ask('PUT', path, json=json, **more)

    def patch(self, path, json=None, **more):
        return self.ask('PATCH', path, json=json, **more)

    def delete(self, path, **more):
        return self.ask('DELETE', path, **more)

    def secret(self, payload='', *, who='alpha-member', **fields):
        """A new secret's path. Its payload is a new text; or ``payload``, text or bytes; or None."""
        payload = new_text() if payload == '' else payload
        if isinstance(payload, bytes):
            self.hide(payload)
            fields |= {'payload': base64.b64encode(payload).decode(),
                       'payload_content_type': 'application/octet-stream',
                       'payload_content_encoding': 'base64'}
        elif payload is not None:
            fields |= {'payload': payload, 'payload_content_type': 'text/plain'}
        made = self.post('/v1/secrets', fields, who=who)
        assert made.status_code == 201, made.text
        return made.json()['secret_ref'].removeprefix(self.url)

    def raw(self, sent, *, seconds=10):
        """What comes back, until km closes the connection, for bytes sent as they are."""
        received = b''
        port = int(self.url.rpartition(':')[2])
        # km may hang up before it has read all.
        with socket.create_connection((HOST, port), seconds) as sock, contextlib.suppress(OSError):
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
            while more := sock.recv(65536):
                received += more
        return received

    # ---- what is where

    def option(self, section, name):
        """An option of its km.conf."""
        conf = configparser.ConfigParser(interpolation=None)
        conf.read(self.conf)
        return conf[section][name]

    @functools.cached_property
    def metadata(self):
        """An engine on its metadata database."""
        # Some tests have the server hang up on all.
        return sqlalchemy.create_engine(self.option('database', 'connection'), pool_pre_ping=True)

    @functools.cached_property
    def ciphertext(self):
        """An engine, that commits each statement, on the database of its store."""
        return sqlalchemy.create_engine(
            self.option('secret_store:soft', 'connection'), isolation_level='AUTOCOMMIT',
            pool_pre_ping=True)

    def kept(self, secret_id):
        """How many payloads its store has for an id."""
        with self.ciphertext.connect() as connection:
            return connection.scalar(sqlalchemy.text(
                'SELECT count(*) FROM blobs WHERE secret_id = :id'), {'id': secret_id})

    def close(self):
        """Let go of its databases."""
        self.metadata.dispose()
        self.ciphertext.dispose()

    # ---- what must stay hidden

    def hide(self, value):
        """``value``, text or bytes, after noting that no log may show it."""
        self._hidden.add(value if isinstance(value, bytes) else value.encode())
        return value

    def leaks(self):
        """What of the hidden is in the log, whether as it is, escaped, in hexadecimal or base64."""
        for value in self._passwords():
            self.hide(value)
        log = self.log.read_bytes()
        found = {value for value in self._hidden if len(value) >= _SHORTEST_SECRET and any(
            form in log for form in _forms(value))}
        return found | ({MARK} if MARK.encode() in log else set())

    def log_tail(self):
        """The last lines of its log."""
        return '\n'.join(self.log.read_text(errors='replace').splitlines()[-_LOG_LINES_SHOWN:])

    def _passwords(self):
        if self.deployment == 'standalone':
            yield self.openrc()['OS_PASSWORD']
        else:
            yield self.option('keystone_authtoken', 'password')
            yield sqlalchemy.make_url(self.option('database', 'connection')).password
        yield from self._keys()

    def _keys(self):
        """What its store is opened with."""
        yield Path(self.option('secret_store:soft', 'kek_file')).read_text().split()[2]

    def _new_session(self, who):
        if self.keystone:
            self.hide(self.keystone.user(who).password)
            return self.keystone.session(who)
        assert who == 'alpha-member', 'a standalone km has one user'
        openrc = self.openrc()
        return keystoneauth1.session.Session(keystoneauth1.http_basic.HTTPBasicAuth(
            endpoint=openrc['OS_ENDPOINT'], username=openrc['OS_USERNAME'],
            password=openrc['OS_PASSWORD']))

    def _hide_payload(self, json, body, content_type):
        if isinstance(json, dict) and isinstance(json.get('payload'), str):
            self.hide(json['payload'])
        elif json is None and isinstance(body, bytes) and content_type != 'application/json':
            self.hide(body)


def new_text():
    """A payload that no other test has."""
    return f'{MARK} {secrets.token_hex(8)}'


def program(name):
    """The path of a command that came with km or with a client."""
    return str(_PROGRAMS / name)


def environment(**more):
    """The environment of this process without what would tell km or a client what it shall not know."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(('OS_', 'KM_'))}
    return kept | more


@contextlib.contextmanager
def standalone(folder):
    """Run what ``km-quickstart`` prepares and serves in ``folder``; give a ``Km``."""
    with reserved_port() as port:
        command = [program('km-quickstart'), str(folder), '--port', str(port)]
        log = folder.with_name('standalone.log')
        with running(command, log, env=environment()) as process:
            wait_until(lambda: http_answers(port, '/healthcheck'), process, log)
            yield Km('standalone', url=f'http://{HOST}:{port}', conf=folder / 'km.conf', log=log,
                     process=process)


@contextlib.contextmanager
def behind_keystone(folder, databases, keystone, *, name='km', sections=None, first=(),
                    make=None):
    """Run ``km-api`` on two databases of a server, its catalog entry made; give a ``Km``.

    It has two processes, sweeps every second and logs the most it ever does.

    :param name: what its databases' names begin with; no other km's on this server.
    :param sections: more options of its km.conf, by section.
    :param first: commands of km-manage to run before, each a tuple of words.
    :param make: makes another ``Km`` of what is known here.
    """
    with reserved_port() as port:
        url, log = f'http://{HOST}:{port}', folder / 'keystone.log'
        own = {
            'DEFAULT': {'debug': 'true'},
            'api': {'auth_strategy': 'keystone', 'host_href': url, 'bind_port': port, 'workers': 2},
            'keystone_authtoken': keystone.authtoken_section(),
            'database': {'connection': databases.create_database(name)},
            'worker': {'sweep_seconds': 1},
            'secret_store:soft': {'connection': databases.create_database(f'{name}_ciphertext')},
        }
        conf = write_conf(folder, own | {
            section: own.get(section, {}) | options for section, options in (sections or {}).items()})
        keystone.set_key_manager_url(url)
        for words in (('db', 'upgrade'), *first):
            subprocess.run([program('km-manage'), '--config-file', conf, *words],
                           env=environment(), check=True, capture_output=True)
        command = [program('km-api'), '--config-file', str(conf)]
        with running(command, log, env=environment()) as process:
            wait_until(lambda: http_answers(port, '/healthcheck'), process, log)
            yield (make or functools.partial(Km, 'keystone'))(
                url=url, conf=conf, log=log, process=process, keystone=keystone, databases=databases)


def ends_cleanly(process, number=signal.SIGTERM):
    """Whether ``process`` ends on a signal with status 0, in time, and leaves no child behind."""
    process.send_signal(number)
    try:
        status = process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return status == 0 and not _group(process.pid)


def _group(leader):
    """The processes of a group that still live; those only waiting to be buried do not."""
    found = []
    for stat in Path('/proc').glob('[0-9]*/stat'):
        with contextlib.suppress(OSError):
            state, _parent, group = stat.read_text().rpartition(')')[2].split()[:3]
            if int(group) == leader and state != 'Z':
                found.append(stat.parent.name)
    return found


def _forms(value):
    yield value
    yield repr(value)[2:-1].encode()
    yield jsonlib.dumps(value.decode(errors='replace'))[1:-1].encode()
    yield value.hex().encode()
    yield base64.b64encode(value).rstrip(b'=')
