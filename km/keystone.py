# SPDX-License-Identifier: Apache-2.0
"""From Keystone's tokens to an ``Identity``. Nothing else of km knows keystonemiddleware.

The API asks it of the tokens that clients send, and a worker far from the API asks again of those that
come with its messages, each with its own ``[keystone_authtoken]``.
"""
import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from cachetools import TTLCache
from keystoneauth1.exceptions import MissingRequiredOptions, NoMatchingPlugin
from keystonemiddleware.auth_token import AuthProtocol
from oslo_config import cfg
from oslo_utils import timeutils
from webob import Request

from km.errors import Misconfigured, Unauthenticated, Unavailable
from km.identity import Identity

_MOST_TOKENS = 10000


class KnownTokens:
    """WSGI middleware: ``km.identity`` from a Keystone token, which ``auth_token`` validates.

    ``auth_token`` has a cache of its own, and still parses the token, sets fifty headers and writes out
    the service catalog for each request; without memcached it also looks through all the tokens it
    ever kept. Here an answer of it is good for ``[api] token_memory_seconds``. Remembered is only what
    depends on the token alone: none that expires meanwhile, none that comes with a service token, none
    that is bound to its bearer or restricted to some requests by access rules.

    :param passed_on: whether the identity bears its tokens, for a worker that asks Keystone again.
    """

    def __init__(self, app: Callable, conf: cfg.ConfigOpts, *, passed_on: bool = False):
        self._app, self._passed_on = app, passed_on
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
        return self._pass(identity, environ, start_response)

    def _validated(self, environ: dict[str, Any], start_response: Callable) -> Any:
        """The app behind ``auth_token``.

        :raises Unauthenticated: the token is not scoped to a project.
        """
        if not environ.get('HTTP_X_PROJECT_ID'):
            raise Unauthenticated('The token is not scoped to a project.')
        identity = _from_headers(environ)
        key = _key(environ)
        if key and self._lasts(environ['keystone.token_info']['token']):
            with self._lock:
                self._known[key] = identity
        return self._pass(identity, environ, start_response)

    def _pass(self, identity: Identity, environ: dict[str, Any], start_response: Callable) -> Any:
        identity = replace(identity, request_id=environ['openstack.request_id'])
        if self._passed_on:
            identity = replace(identity, token=environ.get('HTTP_X_AUTH_TOKEN'),
                               service_token=environ.get('HTTP_X_SERVICE_TOKEN'))
        environ['km.identity'] = identity
        return self._app(environ, start_response)

    def _lasts(self, token: dict[str, Any]) -> bool:
        """Whether a token means the same for every request of the next seconds."""
        until = timeutils.normalize_time(timeutils.parse_isotime(token['expires_at']))
        restricted = 'bind' in token or 'access_rules' in token.get('application_credential', {})
        return not restricted and until > timeutils.utcnow() + timedelta(seconds=self._seconds)


class Tokens:
    """Asks Keystone about tokens that did not come with a request of HTTP."""

    def __init__(self, conf: cfg.ConfigOpts):
        """Ask nobody yet.

        :raises Misconfigured: ``[keystone_authtoken]`` cannot be used.
        """
        self._known = KnownTokens(_nothing, conf)

    def identity(self, token: str | None, service_token: str | None, *, request_id: str) -> Identity:
        """Who a token is of, as Keystone says.

        A token that is restricted by access rules is nobody's here: they are about requests of HTTP.

        :raises Unauthenticated: Keystone does not know it, or it is for no project.
        :raises Unavailable: Keystone does not answer.
        """
        environ = Request.blank('/', environ={'openstack.request_id': request_id}).environ
        if token:
            environ['HTTP_X_AUTH_TOKEN'] = token
        if service_token:
            environ['HTTP_X_SERVICE_TOKEN'] = service_token
        answered: list[str] = []
        self._known(environ, lambda status, *_: answered.append(status))
        if 'km.identity' in environ:
            return environ['km.identity']
        if answered[0].startswith('401'):
            raise Unauthenticated('The token is not valid.')
        raise Unavailable('Keystone does not answer.')


def _from_headers(environ: Mapping[str, Any]) -> Identity:
    """An identity from the headers that Keystone's middleware sets; an empty user is none.

    :param environ: of WSGI; it must have ``HTTP_X_PROJECT_ID``.
    """
    roles = environ.get('HTTP_X_ROLES', '').split(',')
    return Identity(
        user_id=environ.get('HTTP_X_USER_ID') or None, project_id=environ['HTTP_X_PROJECT_ID'],
        roles=tuple(role.strip().lower() for role in roles if role.strip()),
        request_id=environ['openstack.request_id'])


def _nothing(_environ: dict[str, Any], start_response: Callable) -> list[bytes]:
    start_response('204 No Content', [])
    return []


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
