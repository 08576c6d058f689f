# SPDX-License-Identifier: Apache-2.0
"""Run a real Keystone, with projects and users to test with.

Tests call `keystone`. What it starts is this same module, run as a program: importing Keystone
takes seconds while its commands take tenths of one, so a single process that is not the tests'
own imports it once, prepares it and serves it.
"""

import configparser
import contextlib
import functools
import importlib.util
import multiprocessing
import os
import secrets
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

from gunicorn.app.base import BaseApplication
from keystoneauth1.identity import v3
from keystoneauth1.session import Session
from keystoneclient.v3.client import Client

from tests.functional.servers import (
    HOST,
    ServerError,
    http_answers,
    reserved_port,
    running,
    wait_until,
)

DOMAIN = 'default'
REGION = 'RegionOne'
PROJECTS = ('alpha', 'beta')
ROLES = ('reader', 'member', 'admin')
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class User:
    """Someone of Keystone's domain Default who has one role in one project."""

    name: str
    project: str
    role: str
    password: str = field(repr=False, default_factory=functools.partial(secrets.token_hex, 16))


def _users():
    """Give everyone that Keystone shall know, each with a random password."""
    users = [User(f'{project}-{role}', project, role) for project in PROJECTS for role in ROLES]
    users.append(User('alpha-other-member', 'alpha', 'member'))
    users.append(User('km', 'service', 'service'))
    return users


class Keystone:
    """A running Keystone.

    `auth_url` is the URL of its API. It knows the users `alpha-reader`, `alpha-member`,
    `alpha-other-member`, `alpha-admin` and the like of `beta` (without the other member), `km`,
    who may validate tokens, and `admin`, who may do everything.
    """

    def __init__(self, port):
        """Take the `port` it listens on; nothing is sent to it yet."""
        self.auth_url = f'http://{HOST}:{port}/v3'
        self._users = {user.name: user for user in (User('admin', 'admin', 'admin'), *_users())}

    def user(self, name):
        """Give the `User` of this `name`."""
        return self._users[name]

    def session(self, user):
        """Give a new keystoneauth1 session of `user`, a `User` or the name of one."""
        user = user if isinstance(user, User) else self.user(user)
        return Session(
            v3.Password(
                self.auth_url,
                username=user.name,
                password=user.password,
                project_name=user.project,
                user_domain_id=DOMAIN,
                project_domain_id=DOMAIN,
            )
        )

    def token(self, user):
        """Give a new token of `user`, a `User` or the name of one."""
        return self.session(user).get_token()

    def authtoken_section(self):
        """Give the options, all strings, of the section [keystone_authtoken] of km's INI."""
        return {
            'auth_type': 'password',
            'auth_url': self.auth_url,
            'www_authenticate_uri': self.auth_url,
            'username': 'km',
            'password': self.user('km').password,
            'project_name': self.user('km').project,
            'user_domain_id': DOMAIN,
            'project_domain_id': DOMAIN,
            'region_name': REGION,
        }

    def set_key_manager_url(self, url):
        """Make `url` that of the key manager in the catalog of every token made from now on."""
        client = self._client()
        (service,) = client.services.list(type='key-manager')
        for endpoint in client.endpoints.list(service=service):
            client.endpoints.update(endpoint, url=url)

    def create_role(self, name):
        """Make a role of this `name`, which nobody has and which implies no other."""
        self._client().roles.create(name)

    def delete_project(self, name):
        """Delete the project of this `name`, as an operator would; give its id."""
        client = self._client()
        (project,) = client.projects.list(name=name)
        client.projects.delete(project)
        return project.id

    def populate(self, key_manager_url):
        """Make the projects, the users, and the service and endpoints of the key manager."""
        client = self._client()
        roles = {role.name: role for role in client.roles.list()}
        names = (*PROJECTS, 'service')
        projects = {name: client.projects.create(name, domain=DOMAIN) for name in names}
        for user in self._users.values():
            if user.name == 'admin':
                continue
            account = client.users.create(user.name, domain=DOMAIN, password=user.password)
            client.roles.grant(roles[user.role], user=account, project=projects[user.project])
        service = client.services.create('km', type='key-manager')
        for interface in ('public', 'internal'):
            client.endpoints.create(service, key_manager_url, interface, REGION)

    def _client(self):
        """Give a client of the identity API that may do everything."""
        return Client(session=self.session('admin'), endpoint_override=self.auth_url)


@contextlib.contextmanager
def keystone(folder, key_manager_url=f'http://{HOST}:9311', **notifications):
    """Run a Keystone that keeps its files and its log in `folder`; give a `Keystone`.

    `key_manager_url` is the URL of the key manager until `set_key_manager_url` changes it. With a
    `transport_url` it tells a broker what happens, in the form that `notification_format` names.
    """
    if importlib.util.find_spec('keystone') is None:
        raise ServerError('Keystone not found; install the package keystone from PyPI')
    folder = Path(folder).resolve()
    log = folder / 'keystone.log'
    with reserved_port() as port:
        server = Keystone(port)
        _write_configuration(folder, **notifications)
        command = [sys.executable, '-m', __name__, str(folder), str(port)]
        environment = _environment(server.user('admin').password)
        with running(command, log, cwd=REPOSITORY, env=environment) as process:
            wait_until(lambda: http_answers(port, '/v3'), process, log)
            server.populate(key_manager_url)
            yield server


def _environment(password):
    """Give the environment for a Keystone whose first user has this `password`.

    Variables that name another cloud or Keystone's files would override what is meant here.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith('OS_')}
    return environment | {'OS_BOOTSTRAP_PASSWORD': password}


def _write_configuration(folder, *, transport_url=None, notification_format=None):
    """Write into `folder` the file keystone.conf and an empty folder for more of its kind."""
    options = configparser.ConfigParser(interpolation=None)
    options.read_dict(
        {
            'database': {
                'connection': f'sqlite:///{folder}/keystone.db',
                'sqlite_synchronous': 'false',
            },
            # The least that bcrypt takes: the default makes each token cost a third of a second.
            # And it must not take passwords longer than what bcrypt reads of them.
            'identity': {'password_hash_rounds': '4', 'max_password_length': '72'},
            # There is one process only, whose own memory is never behind the database.
            'cache': {'enabled': 'true', 'backend': 'dogpile.cache.memory'},
            'token': {'provider': 'fernet'},
            'fernet_tokens': {'key_repository': folder / 'fernet-keys'},
            'fernet_receipts': {'key_repository': folder / 'fernet-keys'},
            'credential': {'key_repository': folder / 'credential-keys'},
            # A file that is not there stands for Keystone's own policies.
            'oslo_policy': {'policy_file': folder / 'policy.yaml'},
        }
    )
    if transport_url:
        options['DEFAULT'] = {
            'transport_url': transport_url, 'notification_format': notification_format}
        options['oslo_messaging_notifications'] = {'driver': 'messagingv2'}
    with (folder / 'keystone.conf').open('w') as output:
        options.write(output)
    (folder / 'keystone.conf.d').mkdir(exist_ok=True)


class Program(BaseApplication):
    """Gunicorn with Keystone's API as its application."""

    def __init__(self, port):
        """Take the `port` to listen on."""
        self.port = port
        super().__init__()

    def load_config(self):
        """Set the few options of Gunicorn that matter here."""
        self.cfg.set('bind', f'{HOST}:{self.port}')
        self.cfg.set('worker_class', 'gthread')
        # Every login writes to the database, and SQLite refuses some of those that coincide.
        self.cfg.set('threads', 1)
        # A client must not meet a connection that is just being closed for idleness.
        self.cfg.set('keepalive', 600)
        self.cfg.set('graceful_timeout', 1)
        # Gunicorn from 25.1 on makes a socket in the home folder unless told not to.
        if 'control_socket_disable' in self.cfg.settings:
            self.cfg.set('control_socket_disable', True)

    def load(self):
        """Give Keystone's WSGI application."""
        # Takes seconds, which only the process that serves Keystone shall spend.
        from keystone.server.wsgi import initialize_public_application  # noqa: PLC0415

        return initialize_public_application()


def _manage(options, *command):
    """Run one `command` of keystone-manage with these `options`; exit when it fails.

    Each runs in a fork, because a process can set up Keystone's registry of managers only once.
    """
    # Takes seconds, which only the process that serves Keystone shall spend.
    from keystone.cmd import cli  # noqa: PLC0415

    arguments = ['keystone-manage', *options, *command]
    process = multiprocessing.get_context('fork').Process(target=cli.main, args=(arguments,))
    process.start()
    process.join()
    if process.exitcode != 0:
        sys.exit(f'keystone-manage {command[0]} failed')


def _prepare(options, port):
    """Make the tables, the keys, and what `keystone-manage bootstrap` makes, for this `port`."""
    url = f'http://{HOST}:{port}/v3'
    interfaces = [f'--bootstrap-{kind}-url={url}' for kind in ('public', 'internal', 'admin')]
    # Run by root, these commands insist on being told who shall own the keys.
    owner = ('--keystone-user=root', '--keystone-group=root') if os.geteuid() == 0 else ()
    _manage(options, 'db_sync')
    _manage(options, 'fernet_setup', *owner)
    _manage(options, 'credential_setup', *owner)
    _manage(options, 'bootstrap', f'--bootstrap-region-id={REGION}', *interfaces)


def main(folder, port):
    """Prepare Keystone with the files in `folder`, then serve it until a signal comes."""
    # A shell that runs the tests in the background has them, and their children, ignore SIGINT.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Naming a folder too keeps Keystone from reading /etc/keystone/keystone.conf.d.
    options = ['--config-file', f'{folder}/keystone.conf']
    options += ['--config-dir', f'{folder}/keystone.conf.d']
    _prepare(options, port)
    # The application finds its options here, whatever serves it.
    sys.argv = ['keystone', *options]
    Program(port).run()


if __name__ == '__main__':
    main(*sys.argv[1:])
