# SPDX-License-Identifier: Apache-2.0
"""The one reader of JSON bodies. It reads once, and strictly."""
import json
import math
import re
from typing import Any, NoReturn

from webob import Request, exc

from km.api.faults import UnsupportedMediaType
from km.errors import Malformed

_MAX_DEPTH = 32
_SURROGATE = re.compile('[\ud800-\udfff]')


def read(request: Request, *, verbatim: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The JSON object in a request's body, with outer white space taken off all its strings.

    :param verbatim: top-level keys whose strings stay as they are.
    :raises UnsupportedMediaType: the body is not declared as JSON.
    :raises Malformed: it is no object in strict JSON (RFC 8259), names a key twice, nests
        deeper than 32, or holds a NUL, half a surrogate pair or a number out of range.
    """
    require_json(request)
    try:
        parsed = json.loads(
            raw(request).decode('utf-8'), object_pairs_hook=_without_duplicates,
            parse_constant=_refuse, parse_float=_float)
        if not isinstance(parsed, dict):
            raise ValueError('no object')
        return {_text(key): value if key in verbatim and _clean(value) else _trimmed(value, 1)
                for key, value in parsed.items()}
    except (ValueError, RecursionError):
        raise Malformed('Malformed JSON') from None


def raw(request: Request) -> bytes:
    """A request's whole body.

    :raises Malformed: it ends early, or its chunks are not what they say.
    """
    try:
        return request.body
    except exc.HTTPException:
        raise  # the size limit's
    except Exception:  # every WSGI server has errors of its own for this
        raise Malformed('The body is not as long as it says, or badly chunked.') from None


def require_json(request: Request) -> None:
    """Insist on ``Content-Type: application/json``; parameters do not matter.

    :raises UnsupportedMediaType: it is something else, or missing.
    """
    declared = request.environ.get('CONTENT_TYPE', '').partition(';')[0].strip().lower()
    if declared != 'application/json':
        raise UnsupportedMediaType(
            "Unexpected content type. Expected content types are: ['application/json']")


def _trimmed(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _text(value).strip()
    if isinstance(value, dict | list):
        if depth >= _MAX_DEPTH:
            raise ValueError('too deep')
        if isinstance(value, list):
            return [_trimmed(element, depth + 1) for element in value]
        return {_text(key): _trimmed(element, depth + 1) for key, element in value.items()}
    return value


def _clean(value: Any) -> bool:
    """Whether a verbatim value is text; what is not goes the way of all others."""
    return isinstance(value, str) and bool(_text(value))


def _text(value: str) -> str:
    if '\x00' in value or _SURROGATE.search(value):
        raise ValueError('no text')
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError('duplicate key')
    return found


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError('out of range')
    return value


def _refuse(_constant: str) -> NoReturn:
    raise ValueError('no number')
