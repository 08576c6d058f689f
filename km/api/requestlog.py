# SPDX-License-Identifier: Apache-2.0
"""A name for every request, one line of it in the log, and the audit record.

Both are written outside everything that can fail, so that what they tell is what the client was told.
No line has a query, a header or a body: they may hold what is nobody else's business.
"""
import logging
import re
import time
from collections.abc import Callable
from typing import Any

from oslo_context import context

from km.acl.rules import Rule

LOG = logging.getLogger(__name__)
HEADER = 'x-openstack-request-id'
AUDIT = logging.getLogger('km.audit')
_CREATED = ('201', '202')
_PLAIN = re.compile(r'[\w.:-]+\Z', re.ASCII)


class RequestLog:
    """WSGI middleware that logs ``km.identity`` and ``km.rule`` as those within left them.

    Audited is what its rule says, and every denial: who did what to which thing, and the outcome.
    """

    def __init__(self, app: Callable, observe: Callable[[dict, str, float], None] | None = None):
        """:param observe: is told of each request: the environ, the status, and the seconds it took."""
        self._app, self._observe = app, observe

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Any:
        began, path = time.perf_counter(), environ.get('PATH_INFO', '')
        environ['openstack.request_id'] = request_id = context.generate_request_id()
        status, location = '', ''

        def respond(sent: str, headers: list, exc_info: Any = None) -> Any:
            nonlocal status, location
            status = sent[:3]
            if status in _CREATED:
                location = dict(headers).get('Location', '')
            return start_response(sent, [*headers, (HEADER, request_id)], exc_info)

        body = self._app(environ, respond)
        identity, rule = environ.get('km.identity'), environ.get('km.rule')
        user, project = (identity.user_id, identity.project_id) if identity else ('-', '-')
        if rule and (rule.audited or status == '403'):
            row = environ.get('km.target')
            AUDIT.info(
                '%s "%s" %s owner=%s user=%s project=%s outcome=%s request=%s', rule.action,
                rule.operation, _about(rule, environ['km.ids'], location),
                row.project_id if row else project, user, project,
                'denied' if status == '403' else status, request_id)
        seconds = time.perf_counter() - began
        if self._observe:
            self._observe(environ, status, seconds)
        LOG.info('%s user=%s project=%s %s %r %s %.1fms', request_id, user, project,
                 environ['REQUEST_METHOD'], path, status, seconds * 1000)
        return body


def _about(rule: Rule, ids: dict[str, str], location: str) -> str:
    """What a request is about, such as ``secret=ID``; of what it has created, or of nothing, ``-``."""
    for name, value in ids.items():
        # A project's id is what the client wrote, and could look like more fields.
        return f'{name.removesuffix("_id")}={value if _PLAIN.match(value) else repr(value)}'
    return f'{rule.path.partition("/")[0].removesuffix("s")}={location.rpartition("/")[2] or "-"}'
