# SPDX-License-Identifier: Apache-2.0
"""What comes in, and who asks: doors, and the strategies of ``[api] auth_strategy``.

Each strategy wraps an app and leaves ``km.identity`` in the environ for it, made from what it found
out and from nothing else a client sent.
"""
import hashlib
import ipaddress
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from cachetools import TTLCache
from keystoneauth1.exceptions import MissingRequiredOptions, NoMatchingPlugin
from keystonemiddleware.auth_token import AuthProtocol
from oslo_config import cfg
from oslo_middleware import basic_auth
from oslo_middleware.exceptions import ConfigInvalid
from oslo_utils import timeutils
from webob import exc

from km.acl.rules import NoSuchMethod
from km.errors import Forbidden, Invalid, Malformed, Misconfigured, NotFound, TooLarge, Unauthenticated
from km.identity import Identity

# What auth_token sets, and what a client therefore must not: X-Roles, X-Project-Id, X-User-Name,
# X-Service-Roles, OpenStack-System-Scope and their kin. A proxy's X-Forwarded-* are not among them.
_IDENTITY_HEADER = re.compile(
    r'HTTP_(X_(SERVICE_)?(IDENTITY_STATUS|USER|ROLES?|PROJECT|TENANT|DOMAIN)|X_IS_ADMIN|'
    r'X_SERVICE_CATALOG|OPENSTACK_SYSTEM_SCOPE)')
_MOST_CHARACTERS = 255
_MOST_TOKENS = 10000
_MOST_DIGITS = 18
_NOAUTH_HEADERS = frozenset(('HTTP_X_PROJECT_ID', 'HTTP_X_USER_ID', 'HTTP_X_ROLES'))


def authenticated(app: Callable, conf: cfg.ConfigOpts) -> Callable:
    """``app`` behind the strategy that ``conf`` names.

    :raises Misconfigured: the strategy lacks something it needs.
    """
    strategy = conf.api.auth_strategy
    if strategy == 'keystone':
        return StripIdentity(KnownTokens(app, conf))
    if strategy == 'http_basic':
        return StripIdentity(HttpBasic(app, conf))
    return StripIdentity(NoAuth(app, conf), keep=_NOAUTH_HEADERS)


class Doors:
    """WSGI app: what comes in at all, by path and by size.

    :param open_to_all: apps by path.
    :param guarded: the app at ``/v1`` and below.
    :param counted: that app behind a reader that counts, for bodies that do not say how long they are.
    """

    def __init__(self, open_to_all: Mapping[str, Callable], *, guarded: Callable, counted: Callable,
                 max_body_bytes: int):
        self._open_to_all, self._guarded, self._counted = open_to_all, guarded, counted
        self._max_body_bytes = max_body_bytes

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


class KnownTokens:
    """WSGI middleware: ``km.identity`` from a Keystone token, which ``auth_token`` validates.

    ``auth_token`` has a cache of its own, and still parses the token, sets fifty headers and writes out
    the service catalog for each request; without memcached it also looks through all the tokens it
    ever kept. Here an answer of it is good for ``[api] token_memory_seconds``. Remembered is only what
    depends on the token alone: none that expires meanwhile, none that comes with a service token, none
    that is bound to its bearer or restricted to some requests by access rules.
    """

    def __init__(self, app: Callable, conf: cfg.ConfigOpts):
        self._app = app
        self._seconds = conf.api.token_memory_seconds
        self._known: TTLCache = TTLCache(_MOST_TOKENS, self._seconds)
        self._lock = threading.Lock()
        self._auth_token = _auth_token(self._validated, conf)

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Any:
        key = _key(environ)
        with self._lock:
            identity = self._known.get(key) if key else None
        if identity is None:
            return self._auth_token(environ, start_response)
        environ['km.identity'] = replace(identity, request_id=environ['openstack.request_id'])
        return self._app(environ, start_response)

    def _validated(self, environ: dict[str, Any], start_response: Callable) -> Any:
        """The app behind ``auth_token``.

        :raises Unauthenticated: the token is not scoped to a project.
        """
        if not environ.get('HTTP_X_PROJECT_ID'):
            raise Unauthenticated('The token is not scoped to a project.')
        environ['km.identity'] = identity = _from_headers(environ)
        key = _key(environ)
        if key and self._lasts(environ['keystone.token_info']['token']):
            with self._lock:
                self._known[key] = identity
        return self._app(environ, start_response)

    def _lasts(self, token: dict[str, Any]) -> bool:
        """Whether a token means the same for every request of the next seconds."""
        until = timeutils.normalize_time(timeutils.parse_isotime(token['expires_at']))
        restricted = 'bind' in token or 'access_rules' in token.get('application_credential', {})
        return not restricted and until > timeutils.utcnow() + timedelta(seconds=self._seconds)


def _key(environ: dict[str, Any]) -> bytes | None:
    """What a request's token is remembered by; None if it is not."""
    token = environ.get('HTTP_X_AUTH_TOKEN')
    if not token or 'HTTP_X_SERVICE_TOKEN' in environ:
        return None
    return hashlib.sha256(token.encode('latin-1')).digest()


def _auth_token(app: Callable, conf: cfg.ConfigOpts) -> AuthProtocol:
    try:
        guard = AuthProtocol(app, {'oslo_config_config': conf})
    except (MissingRequiredOptions, NoMatchingPlugin, cfg.Error) as error:
        raise Misconfigured(f'[keystone_authtoken] it cannot be used: {error}') from None
    section = conf.keystone_authtoken
    if not (section.auth_type or section.auth_section):
        raise Misconfigured('[keystone_authtoken] auth_type is required with auth_strategy = '
                            'keystone, and so are auth_url and what that type needs.')
    return guard


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
        environ.setdefault('HTTP_X_ROLES', 'admin,member,reader')
        environ['km.identity'] = _from_headers(environ)
        return self._app(environ, start_response)


def is_loopback(address: str | None) -> bool:
    """Whether an address is this machine's own; a Unix socket's empty one is."""
    if not address:
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == 'localhost'


def _from_headers(environ: Mapping[str, Any]) -> Identity:
    """An identity from the headers that Keystone's middleware sets; an empty user is none.

    :param environ: of WSGI; it must have ``HTTP_X_PROJECT_ID``.
    """
    roles = environ.get('HTTP_X_ROLES', '').split(',')
    return Identity(
        user_id=environ.get('HTTP_X_USER_ID') or None, project_id=environ['HTTP_X_PROJECT_ID'],
        roles=tuple(role.strip().lower() for role in roles if role.strip()),
        request_id=environ['openstack.request_id'])
