# SPDX-License-Identifier: Apache-2.0
"""CADF events (DMTF DSP0262) about requests, made and sent by keystonemiddleware.

An event says who asked for what and how it ended; it has the path and the query, and no header or body.
"""
import json
import uuid
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from typing import Any

from oslo_config import cfg

from km.api.faults import STATUS
from km.api.resource import Links
from km.errors import KmError, Misconfigured

_SERVICE = 'key-manager'


class Audited:
    """WSGI middleware; needs ``km.identity`` in the environ.

    The library looks for headers that ``auth_token`` sets, which km does not for a token that it
    remembers, and for a catalog of services to find km in; it gets them here. It does not get the
    token, a part of which it would send.
    """

    def __init__(self, app: Callable, conf: cfg.ConfigOpts, links: Links):
        """:raises Misconfigured: the map file cannot be read."""
        self._app, self._links = app, links
        # As PasteDeploy finds it. To import it costs each process oslo.messaging, used or not.
        found, = entry_points(group='paste.filter_factory', name='audit')
        try:
            self._audit = found.load()(
                {}, oslo_config_config=conf, audit_map_file=conf.audit.map_file,
                ignore_req_list=','.join(conf.audit.ignored_methods))(self._answered)
        except Exception as error:
            raise Misconfigured(f'[audit] map_file: {conf.audit.map_file} cannot be used: '
                                f'{error}') from None

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        identity = environ['km.identity']
        environ.pop('HTTP_X_AUTH_TOKEN', None)
        environ |= {
            'HTTP_X_USER_ID': identity.user_id or '', 'HTTP_X_PROJECT_ID': identity.project_id,
            'HTTP_X_IDENTITY_STATUS': 'Confirmed',
            'HTTP_X_SERVICE_CATALOG': _catalog(self._links.base(environ))}
        body = self._audit(environ, start_response)
        if 'km.failed' in environ:
            raise environ['km.failed']
        return body

    def _answered(self, environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        """The app, with a status for the library where the app raises an error for ``Faults``."""
        try:
            return self._app(environ, start_response)
        except KmError as error:
            environ['km.failed'] = error
            start_response(f'{STATUS.get(type(error), 500)} Refused', [])
            return []


def _catalog(url: str) -> str:
    return json.dumps([{'type': _SERVICE, 'name': 'km', 'endpoints': [
        {'id': str(uuid.uuid5(uuid.NAMESPACE_URL, url)), 'adminURL': url, 'internalURL': url,
         'publicURL': url}]}])
