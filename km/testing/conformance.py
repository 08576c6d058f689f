# SPDX-License-Identifier: Apache-2.0
"""Whether km answers as its OpenAPI document says."""
import functools
import re
from typing import Any

import jsonschema
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from webob import Request, Response

from km.api import openapi

_DOCUMENT = 'urn:km'


def require_conformance(request: Request, response: Response) -> None:
    """Insist that the document has the status of a response, its headers and a body like its.

    Nothing is asked of an answer to what the document does not know.
    """
    path = '/' + '/'.join(filter(None, request.environ['PATH_INFO'].split('/')))
    place = _place(path, request.method)
    if place is None:
        return
    told = f'{request.method} {path} -> {response.status}'
    answers = _at(place)['responses']
    assert str(response.status_int) in answers, f'{told} is not in the OpenAPI document'
    place = (*place, 'responses', str(response.status_int))
    if '$ref' in _at(place):
        place = tuple(_at(place)['$ref'].split('/')[1:])
    for name, header in _at(place).get('headers', {}).items():
        required = _at(tuple(header['$ref'].split('/')[1:]))['required'] if '$ref' in header else False
        assert not required or name in response.headers, f'{told} has no {name}'
    content = _at(place).get('content')
    if content is None:
        assert not response.body, f'{told} has a body'
        return
    assert response.content_type in content, f'{told} is {response.content_type}'
    if response.content_type == 'application/json':
        errors = _validator((*place, 'content', 'application/json', 'schema')).iter_errors(response.json)
        assert not (found := [error.message for error in errors]), f'{told}: {found}'


@functools.cache
def _document() -> dict[str, Any]:
    return openapi.document()


def _at(place: tuple[str, ...]) -> Any:
    return functools.reduce(lambda node, name: node[name], place, _document())


@functools.cache
def _patterns() -> list[tuple[re.Pattern, str]]:
    """The paths of the document, those with the fewest ids first."""
    return [(re.compile(re.sub(r'\{\w+\}', '[^/]+', path)), path)
            for path in sorted(_document()['paths'], key=lambda path: path.count('{'))]


def _place(path: str, method: str) -> tuple[str, ...] | None:
    """Where the document has the operation that a request is."""
    for pattern, template in _patterns():
        if pattern.fullmatch(path):
            known = method.lower() in _at(('paths', template))
            return ('paths', template, method.lower()) if known else None
    return None


@functools.cache
def _validator(place: tuple[str, ...]) -> Any:
    pointer = '/'.join(name.replace('~', '~0').replace('/', '~1') for name in place)
    registry: Registry = Registry().with_resource(
        _DOCUMENT, DRAFT202012.create_resource(_document()))
    return jsonschema.Draft202012Validator({'$ref': f'{_DOCUMENT}#/{pointer}'}, registry=registry)
