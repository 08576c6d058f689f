# SPDX-License-Identifier: Apache-2.0
"""The strategies of ``[api] auth_strategy``. Each wraps an app and leaves ``km.identity`` for it."""
import ipaddress
from collections.abc import Callable
from typing import Any

from keystonemiddleware.auth_token import AuthProtocol
from oslo_config import cfg
from oslo_middleware import basic_auth
from oslo_middleware.exceptions import ConfigInvalid
from webob import exc

from km.api.context import KeystoneIdentity, StripIdentity, identity
from km.errors import Forbidden, Invalid, Misconfigured, Unauthenticated

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
