# SPDX-License-Identifier: Apache-2.0
"""Who asks, taken from what authentication found out and from nothing a client sent."""
import re
from collections.abc import Callable
from typing import Any

from km.errors import Unauthenticated
from km.identity import Identity

# What auth_token sets, and what a client therefore must not: X-Roles, X-Project-Id, X-User-Name,
# X-Service-Roles, OpenStack-System-Scope and their kin. A proxy's X-Forwarded-* are not among them.
_IDENTITY_HEADER = re.compile(
    r'HTTP_(X_(SERVICE_)?(IDENTITY_STATUS|USER|ROLES?|PROJECT|TENANT|DOMAIN)|X_IS_ADMIN|'
    r'X_SERVICE_CATALOG|OPENSTACK_SYSTEM_SCOPE)')


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


def identity(environ: dict[str, Any], user_id: str | None, project_id: str,
             roles: str) -> Identity:
    """An identity from plain values.

    :param roles: names, separated by commas.
    """
    return Identity(
        user_id=user_id, project_id=project_id,
        roles=tuple(role.strip().lower() for role in roles.split(',') if role.strip()),
        request_id=environ.get('openstack.request_id', ''))
