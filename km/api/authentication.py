# SPDX-License-Identifier: Apache-2.0
"""Who asks: the strategies of ``[api] auth_strategy``, and the paths that need none.

Each strategy wraps an app and leaves ``km.identity`` in the environ for it, made from what it found
out and from nothing else a client sent.
"""
import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from keystonemiddleware.auth_token import AuthProtocol
from oslo_config import cfg
from oslo_middleware import basic_auth
from oslo_middleware.exceptions import ConfigInvalid
from webob import exc

from km.errors import Forbidden, Invalid, Misconfigured, NotFound, Unauthenticated
from km.identity import Identity

# What auth_token sets, and what a client therefore must not: X-Roles, X-Project-Id, X-User-Name,
# X-Service-Roles, OpenStack-System-Scope and their kin. A proxy's X-Forwarded-* are not among them.
_IDENTITY_HEADER = re.compile(
    r'HTTP_(X_(SERVICE_)?(IDENTITY_STATUS|USER|ROLES?|PROJECT|TENANT|DOMAIN)|X_IS_ADMIN|'
    r'X_SERVICE_CATALOG|OPENSTACK_SYSTEM_SCOPE)')
_NOAUTH_HEADERS = frozenset(('HTTP_X_PROJECT_ID', 'HTTP_X_USER_ID', 'HTTP_X_ROLES'))


def authenticated(app: Callable, conf: cfg.ConfigOpts) -> Callable:
    """``app`` behind the strategy that ``conf`` names.

    :raises Misconfigured: the strategy lacks something it needs.
    """
    strategy = conf.api.auth_strategy
    if strategy == 'keystone':
        return StripIdentity(AuthProtocol(KeystoneIdentity(app), {'oslo_config_config': conf}))
    if strategy == 'http_basic':
        return StripIdentity(HttpBasic(app, conf))
    return StripIdentity(NoAuth(app, conf), keep=_NOAUTH_HEADERS)


class Doors:
    """WSGI app: the paths that are open to everybody, the one that is guarded, and no other.

    :param open_to_all: apps by path.
    :param guarded: the app at ``/v1`` and below.
    """

    def __init__(self, open_to_all: Mapping[str, Callable], guarded: Callable):
        self._open_to_all, self._guarded = open_to_all, guarded

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Any:
        path = environ['PATH_INFO'].rstrip('/')
        if path == '/v1' or path.startswith('/v1/'):
            return self._guarded(environ, start_response)
        if path in self._open_to_all:
            return self._open_to_all[path](environ, start_response)
        raise NotFound('')


class StripIdentity:
    """WSGI middleware: removes every header that could pass for somebody's identity.

    :param keep: environ names that the strategy behind it reads from the client on purpose.
    """

    def __init__(self, app: Callable, keep: frozenset[str] = frozenset()):
        self._app, self._keep = app, keep

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Any:
        for name in [name for name in environ if name.startswith('HTTP_')]:
            if name not in self._keep and _IDENTITY_HEADER.match(name):
                del environ[name]
        return self._app(environ, start_response)


class KeystoneIdentity:
    """WSGI middleware behind ``auth_token``: its headers become ``km.identity``.

    :raises Unauthenticated: the token is not scoped to a project.
    """

    def __init__(self, app: Callable):
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Any:
        project_id = environ.get('HTTP_X_PROJECT_ID')
        if not project_id:
            raise Unauthenticated('The token is not scoped to a project.')
        environ['km.identity'] = identity(
            environ, environ.get('HTTP_X_USER_ID'), project_id, environ.get('HTTP_X_ROLES', ''))
        return self._app(environ, start_response)


class HttpBasic:
    """HTTP Basic (RFC 7617) against a file of bcrypt hashes; every user is in one project."""

    def __init__(self, app: Callable, conf: cfg.ConfigOpts):
        self._app, self._file = app, conf.api.http_basic_user_file
        self._project_id = conf.api.http_basic_project_id
        self._roles = ','.join(conf.api.http_basic_roles)
        if not self._file:
            raise Misconfigured('[api] http_basic_user_file is required with '
                                'auth_strategy = http_basic.')
        try:
            basic_auth.validate_auth_file(self._file)
        except (ConfigInvalid, exc.HTTPException):
            raise Misconfigured(f'[api] http_basic_user_file: {self._file} cannot be read, or has '
                                'a line without a bcrypt hash.') from None

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Any:
        user = self._user(environ)
        environ['km.identity'] = identity(environ, user, self._project_id, self._roles)
        return self._app(environ, start_response)

    def _user(self, environ: dict[str, Any]) -> str:
        try:
            name, password = basic_auth.parse_token(basic_auth.parse_header(environ))
            return basic_auth.authenticate(self._file, name, password)['HTTP_X_USER']
        except (exc.HTTPException, ValueError):  # ValueError: bcrypt takes 72 bytes and no NUL
            raise Unauthenticated('A name of the user file and its password are required.',
                                  challenge='Basic realm="km", charset="UTF-8"') from None


class NoAuth:
    """Everybody is believed: project, user and roles are what the client's headers say."""

    def __init__(self, app: Callable, conf: cfg.ConfigOpts):
        self._app, self._everyone = app, conf.api.noauth_for_everyone

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Any:
        if not (self._everyone or is_loopback(environ.get('REMOTE_ADDR'))):
            raise Forbidden('This km asks nobody who they are, and so answers only on the '
                            'loopback interface.')
        project_id = environ.get('HTTP_X_PROJECT_ID')
        if not project_id:
            raise Invalid('The header X-Project-Id is required.')
        environ['km.identity'] = identity(
            environ, environ.get('HTTP_X_USER_ID'), project_id,
            environ.get('HTTP_X_ROLES', 'admin,member,reader'))
        return self._app(environ, start_response)


def is_loopback(address: str | None) -> bool:
    """Whether an address is this machine's own; a Unix socket's empty one is."""
    if not address:
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == 'localhost'


def identity(environ: dict[str, Any], user_id: str | None, project_id: str,
             roles: str) -> Identity:
    """An identity from plain values; an empty user is none.

    :param roles: names, separated by commas.
    """
    return Identity(
        user_id=user_id or None, project_id=project_id,
        roles=tuple(role.strip().lower() for role in roles.split(',') if role.strip()),
        request_id=environ.get('openstack.request_id', ''))
