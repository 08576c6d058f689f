# SPDX-License-Identifier: Apache-2.0
"""Payloads as clients send and want them, and the bytes they are.

What km keeps is bytes, exactly those the client meant: base64 is undone on the way in and never
returned, text is UTF-8, and nothing is trimmed or converted.
"""
import base64
import binascii
import re

from webob import Request

from km.api import schemas
from km.api.body import raw
from km.api.faults import NotAcceptable, UnsupportedMediaType
from km.errors import Invalid, TooLarge

TEXT = 'text/plain'
OCTETS = 'application/octet-stream'
#: What a binary payload may be called. The name comes back in ``content_types``, and clients send it
#: in ``Accept`` when they read.
BINARY = frozenset((OCTETS, 'application/pkcs8', 'application/pkix-cert', 'application/x-pkcs12',
                    'application/x-pem-file'))
_BYTES = {'type': 'string', 'format': 'binary', 'minLength': 1}
#: A payload as the whole body, whether sent or read.
PAYLOAD = schemas.ByType({TEXT: {'type': 'string', 'minLength': 1},
                          **dict.fromkeys(sorted(BINARY), _BYTES)})
_BASE64 = '^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$'
_UNWRAPPED = {'transport_key_id': False, 'transport_key_ref': False}
#: What goes together in a JSON body, for who describes it; ``from_json`` insists on it.
FORMS = {'anyOf': [
    {'title': 'No payload yet',
     'properties': {'payload': False, 'payload_content_type': {'type': 'null'}}},
    {'title': 'Text',
     'properties': {'payload_content_type': {'enum': [TEXT, f'{TEXT};charset=utf-8']},
                    'payload_content_encoding': False, **_UNWRAPPED},
     'required': ['payload', 'payload_content_type']},
    {'title': 'Bytes',
     'properties': {'payload': {'contentEncoding': 'base64', 'pattern': _BASE64},
                    'payload_content_type': {'enum': sorted(BINARY)}, **_UNWRAPPED},
     'required': ['payload', 'payload_content_type', 'payload_content_encoding']},
    {'title': 'Wrapped with a transport key',
     'properties': {'payload_content_type': {'enum': [TEXT, *sorted(BINARY)]}},
     'required': ['payload', 'payload_content_type'],
     'anyOf': [{'required': ['transport_key_id']}, {'required': ['transport_key_ref']}]}]}

_TEXT_CHARSET = re.compile(r'text/plain(\s*;\s*charset\s*=\s*"?utf-8"?)?\s*\Z', re.IGNORECASE)


def from_json(text: str, content_type: str | None, encoding: str | None,
              *, limit: int, wrapped: bool = False) -> tuple[bytes, str]:
    """The payload of a JSON body, and its content type as km reports it.

    :param limit: bytes of the string as sent.
    :param wrapped: whether a transport key hides it, so that it is base64 or a JWE of any type.
    :raises Invalid: type and encoding do not go together, or it is not strict base64.
    :raises TooLarge: it is over the limit.
    """
    kind = normal(content_type)
    if kind is None:
        raise Invalid('Provided field value is not supported: payload_content_type.')
    sent = text.encode('utf-8')
    _require_fitting(sent, limit)
    if wrapped:
        return _wrapped(sent, 'base64'), kind
    if kind == TEXT:
        if encoding is not None:
            raise Invalid('payload_content_encoding must not be given with text/plain.')
        return sent, kind
    if encoding != 'base64':
        raise Invalid(f"payload_content_encoding must be 'base64' with {kind}.")
    return _decoded(sent), kind


def from_body(request: Request, *, limit: int, wrapped: bool = False) -> tuple[bytes, str]:
    """The payload that is a request's whole body, and its content type as km reports it.

    :param wrapped: whether a transport key hides it, so that text too can be base64.
    :raises UnsupportedMediaType: no content type that a payload may have.
    :raises Malformed: the body is not as it says.
    :raises Invalid: there is nothing, or the content encoding does not fit.
    :raises TooLarge: it is over the limit.
    """
    kind = normal(request.environ.get('CONTENT_TYPE'))
    if kind is None:
        raise UnsupportedMediaType(
            f'Unexpected content type. Expected content types are: {sorted({TEXT} | BINARY)}')
    encoding = request.headers.get('Content-Encoding')
    sent = raw(request)
    if not sent:
        raise Invalid('No data supplied to process.')
    _require_fitting(sent, limit)
    if wrapped:
        return _wrapped(sent, encoding), kind
    if kind == TEXT:
        if encoding:
            raise Invalid('Content-Encoding must not be given with text/plain.')
        _require_utf8(sent)
        return sent, kind
    return _undone(sent, encoding), kind


def normal(content_type: str | None) -> str | None:
    """A content type as km reports it; None for one that no payload may have."""
    if content_type is None:
        return None
    if _TEXT_CHARSET.match(content_type.strip()):
        return TEXT
    kind = content_type.strip().lower()
    return kind if kind in BINARY else None


def negotiated(accept: str | None, stored: str, payload: bytes) -> str:
    """The Content-Type to answer a reader with.

    Exactly one type can be asked for, as clients do: the one km reports, or a plainer one.

    :param accept: the Accept header.
    :param stored: the type the payload was stored with.
    :raises NotAcceptable: the payload cannot be had so.
    """
    if not accept or not accept.strip():
        return OCTETS
    kind = stored if accept.strip() == '*/*' else normal(accept)
    if kind is None or (kind == TEXT and not _is_utf8(payload)):
        raise NotAcceptable('Wrong payload content-type')
    return 'text/plain; charset=UTF-8' if kind == TEXT else kind


def _require_fitting(sent: bytes, limit: int) -> None:
    if len(sent) > limit:
        raise TooLarge('Provided information too large to process')


def _wrapped(sent: bytes, encoding: str | None) -> bytes:
    """What a client wrapped: a JWE, whose dots base64 does not have, is its own encoding."""
    if b'.' in sent and sent.isascii():
        return sent.strip()
    return _undone(sent, encoding)


def _undone(sent: bytes, encoding: str | None) -> bytes:
    if not encoding:
        return sent
    if encoding.lower() != 'base64':
        raise Invalid("A binary payload must specify a content-encoding of 'base64', or none.")
    return _decoded(sent)


def _decoded(sent: bytes) -> bytes:
    try:
        payload = base64.b64decode(b''.join(sent.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Invalid('The payload is not valid base64.') from None
    if not payload:
        raise Invalid('No data supplied to process.')
    return payload


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode('utf-8')
    except UnicodeDecodeError:
        return False
    return True


def _require_utf8(sent: bytes) -> None:
    if not _is_utf8(sent):
        raise Invalid('A text/plain payload must be UTF-8.')
