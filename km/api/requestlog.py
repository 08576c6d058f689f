# SPDX-License-Identifier: Apache-2.0
"""One line in the log for every request."""
import logging
import time
from collections.abc import Callable
from typing import Any

LOG = logging.getLogger(__name__)


class RequestLog:
    """WSGI middleware outside everything that can fail, so that the status it logs is the one sent.

    The line has no query and no header: both may hold what is nobody else's business.
    """

    def __init__(self, app: Callable):
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Any:
        began, path = time.perf_counter(), environ.get('PATH_INFO', '')
        sent = ''

        def respond(status: str, headers: list, exc_info: Any = None) -> Any:
            nonlocal sent
            sent = status[:3]
            return start_response(status, headers, exc_info)

        body = self._app(environ, respond)
        identity = environ.get('km.identity')
        LOG.info('%s user=%s project=%s %s %r %s %.1fms',
                 environ.get('openstack.request_id', '-'), identity and identity.user_id,
                 identity and identity.project_id, environ['REQUEST_METHOD'], path, sent,
                 (time.perf_counter() - began) * 1000)
        return body
