# SPDX-License-Identifier: Apache-2.0
"""``GET /openapi.json``: the API as an OpenAPI 3.1 document, made of what the code itself goes by.

Paths, methods, actions and the names of operations are those of ``km.acl.rules``; summaries are the
docstrings of the verbs; bodies are the schemas that the verbs declare, and requests are validated
with the same objects. What every request may meet is added here by rule.

``links`` say how the id of what was made leads on. An id is the last piece of a URL, which a runtime
expression of OpenAPI cannot cut out, so they have the suffix ``#regex:`` of Schemathesis.
"""
import functools
import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Any

from webob import Response
from webob.util import status_reasons

from km.acl.rules import RULES, Rule
from km.api import requestlog, root, schemas, versions
from km.api.resource import Contract, Resource
from km.api.schemas import ByKind, ByType, Schema

_ABOUT = """\
A key manager: secrets, keys and certificates, behind the Key Manager v1 API of OpenStack.

Text in requests is UTF-8 without NUL; outer white space of all of it but payloads is taken off. Unknown
parameters of a query are ignored, and a trailing slash of a path too. A method that a path does not
have here is a 405 with ``Allow``; HEAD is one of them. ``GET`` of a payload answers in the one type
that ``Accept`` names. ``Content-Encoding: base64`` lets a binary payload be sent as base64.

``x-openstack-policy`` of an operation has the names of its rules in ``policy.yaml``.
"""
#: What any request may meet: see ``km.deploy`` for where.
_ALWAYS = (400, 401, 403, 406, 413, 500, 503)
_JSON = 'application/json'
_IN_PATH = re.compile(r'\{(\w+)\}')
#: Ids in paths that are not UUIDs.
_FREE_IDS = {'key': {'type': 'string', 'minLength': 1},
             'project_id': {'type': 'string', 'minLength': 1, 'maxLength': 255}}
_UUID = {'type': 'string', 'format': 'uuid'}

_ERROR = schemas.named('Error', schemas.exactly({
    'code': schemas.INTEGER, 'title': schemas.STRING, 'description': schemas.STRING_OR_NULL}))
_HEADERS = {
    'RequestId': {
        'required': True, 'description': 'What the log of km knows the request by.',
        'schema': {'type': 'string', 'pattern': '^req-'}},
    'Version': {
        'required': True, 'description': 'The microversion that was spoken.',
        'schema': {'type': 'string', 'pattern': f'^{versions.SERVICE} 1\\.[0-9]+$'}},
    'Location': {'required': True, 'description': 'Where it is.', 'schema': schemas.REF},
}
_ASKED_VERSION = {
    'name': versions.HEADER, 'in': 'header',
    'description': 'The microversion to speak; without it 1.0. Those of other services are ignored.',
    'schema': {'anyOf': [
        {'enum': [f'{versions.SERVICE} {asked}' for asked in ('latest', *versions.SUPPORTED)]},
        {'type': 'string', 'not': {'pattern': rf'(^|[\s,]){versions.SERVICE}([\s,]|$)'}}]}}
_SECURITY = {
    'token': {'type': 'apiKey', 'in': 'header', 'name': 'X-Auth-Token',
              'description': 'A token of Keystone, scoped to a project.'},
    'basic': {'type': 'http', 'scheme': 'basic', 'description': 'Where there is no Keystone.'}}


class Description:
    """The WSGI app at ``/openapi.json``, open to everybody.

    :param server: the URL that paths are below; None for that of the request.
    """

    def __init__(self, server: str | None):
        self._server = server or '/'

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        response = Response(body=self._body, content_type=_JSON, charset='UTF-8',
                            conditional_response=True)
        response.md5_etag()
        response.cache_control = 'public, max-age=3600'
        return response(environ, start_response)

    @functools.cached_property
    def _body(self) -> bytes:
        return json.dumps(document(self._server)).encode()


def document(server: str = '/') -> dict[str, Any]:
    """The whole document.

    :param server: the URL that its paths are below.
    """
    tree, paths = root.tree(None), {}
    for path in dict.fromkeys(rule.path for rule in RULES):
        rules = [rule for rule in RULES if rule.path == path]
        resource = _resource(tree, path)
        paths[f'/v1/{path}'.rstrip('/')] = {
            'parameters': [_ref('parameters', name) for name in _ids(path)],
            **{rule.method.lower(): _operation(rule, resource) for rule in rules if rule.json}}
    return {
        'openapi': '3.1.0',
        'info': {'title': 'km, the key manager', 'version': version('km'), 'description': _ABOUT,
                 'license': {'name': 'Apache-2.0', 'identifier': 'Apache-2.0'}},
        'servers': [{'url': server}],
        'security': [{name: []} for name in _SECURITY],
        'paths': paths,
        'components': {
            'schemas': {_name(title): schema for title, schema in schemas.NAMED.items()},
            'responses': {f'Error{status}': _error(status) for status in _statuses(paths)},
            'headers': _HEADERS,
            'parameters': {'Version': _ASKED_VERSION} | {name: _id(name) for name in dict.fromkeys(
                name for rule in RULES for name in _ids(rule.path))},
            'securitySchemes': _SECURITY,
        },
    }


def operation_id(rule: Rule) -> str:
    """What generated clients call an operation, such as ``get_secrets_secret_id_acl``."""
    return re.sub(r'\W+', '_', f'{rule.method} {rule.path or "v1"}'.lower()).strip('_')


def _operation(rule: Rule, resource: Resource) -> dict[str, Any]:
    verb = getattr(resource, rule.method.lower())
    contract: Contract = verb.contract
    summary, _, more = (inspect.getdoc(verb) or '').partition('\n')
    actions = [other.action for other in RULES if other[:2] == rule[:2]]
    told: dict[str, Any] = {
        'operationId': operation_id(rule), 'tags': [rule.path.partition('/')[0] or 'versions'],
        'summary': summary, 'description': '\n\n'.join(filter(None, (rule.operation, more.strip()))),
        'x-openstack-policy': actions,
        'parameters': [_ref('parameters', 'Version'), *(
            {'name': name, 'in': 'query', 'schema': schema}
            for name, schema in (contract.query or {}).items())],
    }
    if contract.takes is not None:
        told['requestBody'] = {'required': True, 'content': _content(contract.takes, resource)}
    told['responses'] = {
        **{str(status): _answer(rule, resource, status) for status in contract.answers},
        **{str(status): _ref('responses', f'Error{status}') for status in _errors(rule, contract)}}
    return told


def _errors(rule: Rule, contract: Contract) -> list[int]:
    """The statuses of errors that an operation may answer with."""
    found = {*_ALWAYS, *contract.fails}
    if _ids(rule.path):
        found.add(404)
    if contract.takes is not None:
        found.add(415)
    return sorted(found)


def _answer(rule: Rule, resource: Resource, status: int) -> dict[str, Any]:
    """A success."""
    schema = getattr(resource, rule.method.lower()).contract.answers[status]
    headers = {requestlog.HEADER: _ref('headers', 'RequestId'),
               versions.HEADER: _ref('headers', 'Version')}
    if status in (201, 202):
        headers['Location'] = _ref('headers', 'Location')
    told = {'description': status_reasons[status], 'headers': headers}
    if schema is not None:
        told['content'] = _content(schema, resource)
        if rule.method == 'POST' and resource.member:
            told['links'] = dict(_links(rule))
    return told


def _error(status: int) -> dict[str, Any]:
    title = status_reasons[status]
    told: dict[str, Any] = {
        'description': title, 'headers': {requestlog.HEADER: _ref('headers', 'RequestId')},
        'content': {_JSON: {'schema': {'allOf': [_ref('schemas', 'Error'), {
            'properties': {'code': {'const': status}, 'title': {'const': title}}}]}}}}
    if status == 503:
        told['headers']['Retry-After'] = {'schema': {'type': 'integer'}, 'description': 'Seconds.'}
    return told


def _statuses(paths: Mapping[str, Any]) -> list[int]:
    """The statuses of the errors that operations refer to."""
    return sorted({int(status) for path in paths.values() for told in path.values()
                   if isinstance(told, dict) for status in told['responses'] if status >= '400'})


def _links(rule: Rule) -> Iterator[tuple[str, dict[str, Any]]]:
    """From the making of a thing to each operation on it."""
    new = next(_ids(other.path)[-1] for other in RULES
               if re.fullmatch(re.escape(rule.path) + r'/\{\w+\}', other.path))
    given = {name: f'$request.path.{name}' for name in _ids(rule.path)} | {
        new: '$response.header.Location#regex:/([^/]+)$'}
    for other in RULES:
        ids = _ids(other.path)
        if other.json and new in ids and given.keys() >= set(ids):
            yield operation_id(other), {
                'operationId': operation_id(other), 'parameters': {name: given[name] for name in ids}}


# ---- the parts of a document


def _resource(tree: Resource, path: str) -> Resource:
    node = tree.children['v1']
    for segment in filter(None, path.split('/')):
        below = node.member if segment.startswith('{') else node.children.get(segment)
        if below is None:
            raise LookupError(f'There is a rule and no resource for /v1/{path}.')
        node = below
    return node


def _ids(path: str) -> list[str]:
    return _IN_PATH.findall(path)


def _id(name: str) -> dict[str, Any]:
    return {'name': name, 'in': 'path', 'required': True, 'schema': _FREE_IDS.get(name, _UUID)}


def _content(schema: Schema, resource: Resource) -> dict[str, Any]:
    schema = _of_kind(schema, resource)
    by_type = schema if isinstance(schema, ByType) else {_JSON: schema}
    return {kind: {'schema': _named(one)} for kind, one in by_type.items()}


def _of_kind(schema: Schema, resource: Resource) -> Schema:
    return schema[resource.kind] if isinstance(schema, ByKind) else schema  # type: ignore[attr-defined]


def _named(schema: Any) -> Any:
    """A schema, with references in the place of those that have a name."""
    if isinstance(schema, list):
        return [_named(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    title = next((title for title, one in schemas.NAMED.items() if one is schema), None)
    if title:
        return _ref('schemas', _name(title))
    return {key: _named(one) for key, one in schema.items()}


def _name(title: str) -> str:
    return title.replace(' ', '')


def _ref(kind: str, name: str) -> dict[str, str]:
    return {'$ref': f'#/components/{kind}/{name}'}
