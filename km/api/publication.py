# SPDX-License-Identifier: Apache-2.0
"""``/pki``: what authorities say of what they have issued, to everybody: no token is asked for.

* ``/pki/NAME/ISSUER.crl`` and ``-delta.crl``: the newest CRL (RFC 5280, 5), DER;
* ``/pki/NAME/ISSUER.crt``: the certificate of the issuer, DER;
* ``/pki/NAME/ISSUER/ocsp``: OCSP (RFC 6960), with POST, or with GET and the request in the path (A.1).

The URLs are in certificates, so strangers ask, and as often as they like. What was told a moment ago is
told again from memory; only so many of all others are asked of the worker, and the rest is told to come
back.
"""
import base64
import binascii
import hashlib
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from webob import Response

from km.acl.rules import NoSuchMethod
from km.api.faults import UnsupportedMediaType
from km.api.remembering import Answer, Remembering
from km.errors import Malformed, NotFound, TooLarge
from km.lifecycle import publication
from km.lifecycle.context import NOBODY
from km.worker.client import Worker

_CRL, _CERTIFICATE = 'application/pkix-crl', 'application/pkix-cert'
_OCSP_REQUEST, _OCSP_RESPONSE = 'application/ocsp-request', 'application/ocsp-response'
_LONGEST_NAME = 255
#: Of an OCSP request. One about one certificate has about a hundred.
_MOST_BYTES = 16 * 1024
_READS = ('GET', 'HEAD')


class Publication:
    """WSGI app for what is below ``/pki``.

    :param clock: tells the time, UTC without a zone.
    :param fresh_seconds: how long an answer is told again; never after its ``nextUpdate``.
    :param limits: of ``Remembering``.
    """

    def __init__(self, worker: Worker, *, clock: Callable[[], datetime], fresh_seconds: float = 60.0,
                 **limits: float):
        self._call, self._clock = worker.call, clock
        self._fresh = timedelta(seconds=fresh_seconds)
        self._remembering = Remembering(clock, **limits)

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Any:
        name, issuer, rest = _parts(environ['PATH_INFO'])
        if rest is None:
            response = self._file(environ, name, issuer)
        else:
            response = self._ocsp(environ, name, issuer, rest)
        return response(environ, start_response)

    def _file(self, environ: dict[str, Any], name: str, file: str) -> Response:
        """A CRL, or the certificate of an issuer.

        :raises NotFound: there is no such file.
        """
        _require_method(environ, *_READS)
        issuer, _, kind = file.rpartition('.')
        if kind == 'crt':
            answer = self._remembering.of(
                (kind, name, issuer), lambda: self._certificate(name, issuer))
            return self._shown(answer, _CERTIFICATE, max_age=answer.until)
        if kind != 'crl':
            raise NotFound('')
        delta = issuer.endswith('-delta')
        issuer = issuer.removesuffix('-delta')
        answer = self._remembering.of(
            (kind, name, issuer, delta), lambda: self._crl(name, issuer, delta))
        # A proxy keeps it no longer than km: it is replaced at once when something is revoked.
        return self._shown(answer, _CRL, max_age=answer.until)

    def _ocsp(self, environ: dict[str, Any], name: str, issuer: str, rest: str) -> Response:
        """The answer to an OCSP request.

        :param rest: what the path has of it: nothing for a POST.
        """
        _require_method(environ, *(_READS if rest else ('POST',)))
        content = _decoded(rest) if rest else _body(environ)
        answer = self._remembering.of(
            ('ocsp', name, issuer, hashlib.sha256(content).digest()),
            lambda: self._status(name, issuer, content))
        if not rest or answer.ends is None:
            return Response(body=answer.content, content_type=_OCSP_RESPONSE, cache_control='no-store')
        # RFC 5019, 6.2
        return self._shown(answer, _OCSP_RESPONSE, max_age=answer.ends, no_transform=True)

    def _certificate(self, name: str, issuer: str) -> Answer:
        content = self._call(publication.issuer_certificate, NOBODY, name=name, issuer=issuer)
        return self._answer(content)

    def _crl(self, name: str, issuer: str, delta: bool) -> Answer:
        told = self._call(publication.crl, NOBODY, name=name, issuer=issuer, delta=delta)
        return self._answer(told['content'], ends=told['next_update'], began=told['this_update'])

    def _status(self, name: str, issuer: str, content: bytes) -> Answer:
        told = self._call(publication.ocsp, NOBODY, name=name, issuer=issuer, content=content)
        if told['next_update'] is None:
            return Answer(content=told['content'], began=self._clock(), ends=None, until=None)
        return self._answer(told['content'], ends=told['next_update'])

    def _answer(self, content: bytes, *, ends: datetime | None = None,
                began: datetime | None = None) -> Answer:
        now = self._clock()
        until = now + self._fresh
        return Answer(content=content, began=began or now, ends=ends,
                      until=until if ends is None else min(until, ends))

    def _shown(self, answer: Answer, content_type: str, *, max_age: datetime | None,
               no_transform: bool = False) -> Response:
        left = (max_age - self._clock()).total_seconds() if max_age else 0
        response = Response(body=answer.content, content_type=content_type, conditional_response=True,
                            etag=hashlib.sha256(answer.content).hexdigest(),
                            last_modified=answer.began.replace(tzinfo=UTC))
        response.cache_control = 'public, must-revalidate' + ', no-transform' * no_transform
        response.cache_control.max_age = max(0, math.floor(left))
        if answer.ends is not None:
            response.expires = answer.ends.replace(tzinfo=UTC)
        return response


def _parts(path: str) -> tuple[str, str, str | None]:
    """What a path names: a plugin, and a file; or a plugin, an issuer and the rest of an OCSP request.

    :raises NotFound: it names nothing.
    """
    name, _, below = path.removeprefix('/pki/').partition('/')
    file, slash, below = below.partition('/')
    if not (0 < len(name) <= _LONGEST_NAME and 0 < len(file) <= _LONGEST_NAME
            and (name + file).isascii() and (name + file).isprintable()):
        raise NotFound('')
    if not slash:
        return name, file, None
    word, _, rest = below.partition('/')
    if word != 'ocsp':
        raise NotFound('')
    return name, file, rest.lstrip('/')  # no request begins with one, but some clients write two


def _require_method(environ: dict[str, Any], *allowed: str) -> None:
    """:raises NoSuchMethod: the request has another."""
    if environ['REQUEST_METHOD'] not in allowed:
        raise NoSuchMethod(list(allowed))


def _decoded(text: str) -> bytes:
    """An OCSP request in a path.

    :raises Malformed: it is not base64.
    :raises TooLarge: it is too long.
    """
    if len(text) > _MOST_BYTES * 4 // 3:
        raise TooLarge('The OCSP request is too long.')
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed('The OCSP request in the path is not base64.') from None


def _body(environ: dict[str, Any]) -> bytes:
    """An OCSP request in a body.

    :raises UnsupportedMediaType: it is declared as something else.
    :raises Malformed: there is none, or it ends early.
    :raises TooLarge: it is too long.
    """
    if environ.get('CONTENT_TYPE', '').partition(';')[0].strip().lower() != _OCSP_REQUEST:
        raise UnsupportedMediaType(f'Unexpected content type. Expected content types are: '
                                   f"['{_OCSP_REQUEST}']")
    # Without a length it is chunked; then the server says where it ends, or it is not read.
    declared = environ.get('CONTENT_LENGTH')
    chunks = _MOST_BYTES + 1 if environ.get('wsgi.input_terminated') else 0
    length = int(declared) if declared else chunks
    try:
        content = environ['wsgi.input'].read(min(length, _MOST_BYTES + 1))
    except Exception:  # every WSGI server has errors of its own for this
        raise Malformed('The body is not as long as it says, or badly chunked.') from None
    if len(content) > _MOST_BYTES:
        raise TooLarge('The OCSP request is too long.')
    if not content or (declared and len(content) < length):
        raise Malformed('The body is not as long as it says, or there is none.')
    return content
