# SPDX-License-Identifier: Apache-2.0
"""From failures to responses. The only place that knows which kind has which status.

Every error has the body ``{"code", "title", "description"}``: ``title`` is the reason phrase, and
clients read it without asking whether it is there.
"""
import json
import logging
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy.exc import TimeoutError as NoConnectionFree
from webob.util import status_reasons

from km import errors
from km.acl.rules import NoSuchMethod

LOG = logging.getLogger(__name__)



class NotAcceptable(errors.KmError):
    """There is no representation, or no version, that the client takes."""


class UnsupportedMediaType(errors.KmError):
    """The body is of a type that km does not read there."""


STATUS = {
    errors.Unauthenticated: 401,
    errors.NotFound: 404,
    errors.Forbidden: 403,
    errors.QuotaExceeded: 403,
    errors.Conflict: 409,
    NoSuchMethod: 405,
    NotAcceptable: 406,
    UnsupportedMediaType: 415,
    errors.Invalid: 400,
    errors.Malformed: 400,
    errors.TooLarge: 413,
    errors.Rejected: 400,
    errors.NotSupported: 400,
    errors.Unavailable: 503,
}
_RETRY_AFTER_SECONDS = '5'
#: These are told as an issue of the operation; the others in their own words.
_ISSUES = (errors.Invalid, errors.QuotaExceeded, errors.Rejected, errors.NotSupported)

#: What is said of errors that a library in the pipeline answered without a word of use.
_OTHERWISE = {
    401: 'The request you have made requires authentication.',
    406: 'There is no such representation or version.',
    413: 'Provided information too large to process',
}


class Faults:
    """WSGI middleware that renders whatever goes wrong further in.

    It also gives km's shape to errors that libraries in the pipeline answered in their own, and adds
    ``km.spoken`` to every answer.
    """

    def __init__(self, app: Callable):
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        held: list = []

        def respond(status: str, headers: list, exc_info: Any = None) -> Any:
            # km's own errors are raised: this is a library's, or was made to be seen as it is.
            if status[0] in '45' and 'km.rendered' not in environ:
                held.append((status, headers))
                return lambda _: None
            return start_response(status, headers + environ.get('km.spoken', []), exc_info)

        try:
            body = self._app(environ, respond)
            if not held:
                return body
            if hasattr(body, 'close'):
                body.close()
            status, headers = held[0]
            code, description, headers = int(status[:3]), None, _kept(headers)
        except errors.KmError as error:
            code, description, headers = _known(error, environ)
        except NoConnectionFree:
            code, description, headers = _known(errors.Unavailable(
                'All connections to the metadata database are in use.'), environ)
        except Exception:
            LOG.exception('Request %s failed in a way nobody foresaw.',
                          environ.get('openstack.request_id', '-'))
            code, description, headers = 500, _failure(environ), []
        return _send(start_response, code, description, headers + environ.get('km.spoken', []))


def _known(error: errors.KmError, environ: dict) -> tuple[int, str | None, list]:
    status = STATUS.get(type(error))
    if status is None:
        LOG.error('%s: %s', type(error).__name__, error.sentence)
        return 500, _failure(environ), []
    if isinstance(error, errors.Unavailable):
        LOG.warning('Unavailable: %s', error.sentence)
    return status, _told(error, environ), _headers(error)


def _told(error: errors.KmError, environ: dict) -> str | None:
    if isinstance(error, errors.NotFound) and error.sentence:
        return f'Not Found. {error.sentence}'
    if isinstance(error, _ISSUES) and 'km.rule' in environ:
        return f'{environ["km.rule"].operation} issue seen - {error.sentence}'
    return error.sentence


def _headers(error: errors.KmError) -> list[tuple[str, str]]:
    if isinstance(error, errors.Unavailable):
        return [('Retry-After', _RETRY_AFTER_SECONDS)]
    if isinstance(error, NoSuchMethod):
        return [('Allow', ', '.join(error.allowed))]
    if isinstance(error, errors.Unauthenticated) and error.challenge:
        return [('WWW-Authenticate', error.challenge)]
    return []


def _failure(environ: dict) -> str:
    operation = environ['km.rule'].operation if 'km.rule' in environ else 'Request'
    return f'{operation} failure seen - please contact site administrator.'


def _send(start_response: Callable, code: int, description: str | None,
          headers: Iterable[tuple[str, str]] = ()) -> list[bytes]:
    title = status_reasons[code]
    if description is None:
        description = _OTHERWISE.get(code)
    body = json.dumps({'code': code, 'title': title, 'description': description}).encode()
    start_response(f'{code} {title}', [
        *headers, ('Content-Type', 'application/json'), ('Content-Length', str(len(body)))])
    return [body]


def _kept(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers
            if name.lower() not in ('content-type', 'content-length')]
