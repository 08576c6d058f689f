# SPDX-License-Identifier: Apache-2.0
"""What comes in, and who asks: doors, and the strategies of ``[api] auth_strategy``.

Each strategy wraps an app and leaves ``km.identity`` in the environ for it, made from what it found
out and from nothing else a client sent.
"""
import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from oslo_config import cfg
from oslo_middleware import basic_auth
from oslo_middleware.exceptions import ConfigInvalid
from webob import exc

from km.acl.rules import NoSuchMethod
from km.errors import Forbidden, Invalid, Malformed, Misconfigured, NotFound, TooLarge, Unauthenticated
from km.identity import Identity
from km.keystone import KnownTokens

# What auth_token sets, and what a client therefore must not: X-Roles, X-Project-Id, X-User-Name,
# X-Service-Roles, OpenStack-System-Scope and their kin. A proxy's X-Forwarded-* are not among them.
_IDENTITY_HEADER = re.compile(
    r'HTTP_(X_(SERVICE_)?(IDENTITY_STATUS|USER|ROLES?|PROJECT|TENANT|DOMAIN)|X_IS_ADMIN|'
    r'X_SERVICE_CATALOG|OPENSTACK_SYSTEM_SCOPE)')
_MOST_CHARACTERS = 255
_MOST_DIGITS = 18
_NOAUTH_HEADERS = frozenset(('HTTP_X_PROJECT_ID', 'HTTP_X_USER_ID', 'HTTP_X_ROLES'))


def authenticated(app: Callable, conf: cfg.ConfigOpts, *, tokens_passed_on: bool = False) -> Callable:
    """``app`` behind the strategy that ``conf`` names.

    :param tokens_passed_on: whether an identity bears its tokens, for a worker that asks Keystone again.
    :raises Misconfigured: the strategy lacks something it needs.
    """
    strategy = conf.api.auth_strategy
    if strategy == 'keystone':
        return StripIdentity(KnownTokens(app, conf, passed_on=tokens_passed_on))
    if strategy == 'http_basic':
        return StripIdentity(HttpBasic(app, conf))
    return StripIdentity(NoAuth(app, conf), keep=_NOAUTH_HEADERS)


class Doors:
    """WSGI app: what comes in at all, by path and by size.

    :param open_to_all: apps by path.
    :param guarded: the app at ``/v1`` and below.
    :param counted: that app behind a reader that counts, for bodies that do not say how long they are.
    :param open_below: apps that are open to all too, by the first name of the paths that they have below
        them; their methods are their own affair, and so are bodies that do not say how long they are.
    """

    def __init__(self, open_to_all: Mapping[str, Callable], *, guarded: Callable, counted: Callable,
                 max_body_bytes: int, open_below: Mapping[str, Callable] | None = None):
        self._open_to_all, self._guarded, self._counted = open_to_all, guarded, counted
        self._max_body_bytes, self._open_below = max_body_bytes, open_below or {}

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Any:
        path, length = environ['PATH_INFO'].rstrip('/'), environ.get('CONTENT_LENGTH') or '0'
        if not length.isdecimal():
            raise Malformed('Content-Length must be a number.')
        if len(length) > _MOST_DIGITS or int(length) > self._max_body_bytes:
            raise TooLarge('Provided information too large to process')
        if environ['REQUEST_METHOD'] == 'OPTIONS':
            return _options(start_response)
        if path == '/v1' or path.startswith('/v1/'):
            counts = 'HTTP_TRANSFER_ENCODING' in environ
            return (self._counted if counts else self._guarded)(environ, start_response)
        if path in self._open_to_all:
            if environ['REQUEST_METHOD'] != 'GET':
                raise NoSuchMethod(['GET'])
            return self._open_to_all[path](environ, start_response)
        first, below, _ = path.removeprefix('/').partition('/')
        if below and first in self._open_below:
            return self._open_below[first](environ, start_response)
        raise NotFound('')


def _options(start_response: Callable) -> list[bytes]:
    """200 and nothing, as clients know it of a service without CORS."""
    start_response('200 OK', [('Content-Length', '0')])
    return []


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


class HttpBasic:
    """HTTP Basic (RFC 7617) against a file of bcrypt hashes; every user is in one project."""

    def __init__(self, app: Callable, conf: cfg.ConfigOpts):
        self._app, self._file = app, conf.api.http_basic_user_file
        self._project_id = conf.api.http_basic_project_id
        self._roles = tuple(conf.api.http_basic_roles)
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
        environ['km.identity'] = Identity(
            user_id=user, project_id=self._project_id, roles=self._roles,
            request_id=environ['openstack.request_id'])
        return self._app(environ, start_response)

    def _user(self, environ: dict[str, Any]) -> str:
        try:
            name, password = basic_auth.parse_token(basic_auth.parse_header(environ))
            if not name.isprintable():
                raise ValueError('the library would write the name into a log line as it is')
            return basic_auth.authenticate(self._file, name, password)['HTTP_X_USER']
        except (exc.HTTPException, ValueError):  # bcrypt takes 72 bytes and no NUL
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
        if not environ.get('HTTP_X_PROJECT_ID'):
            raise Invalid('The header X-Project-Id is required.')
        if any(len(environ.get(name, '')) > _MOST_CHARACTERS for name in _NOAUTH_HEADERS):
            raise Invalid('X-Project-Id, X-User-Id and X-Roles have 255 characters at most.')
        roles = environ.get('HTTP_X_ROLES', 'admin,member,reader').split(',')
        environ['km.identity'] = Identity(
            user_id=environ.get('HTTP_X_USER_ID') or None, project_id=environ['HTTP_X_PROJECT_ID'],
            roles=tuple(role.strip().lower() for role in roles if role.strip()),
            request_id=environ['openstack.request_id'])
        return self._app(environ, start_response)


def is_loopback(address: str | None) -> bool:
    """Whether an address is this machine's own; a Unix socket's empty one is."""
    if not address:
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == 'localhost'
