# SPDX-License-Identifier: Apache-2.0
"""``/v1/secrets/{secret_id}/consumers`` and ``/v1/containers/{container_id}/consumers``: who uses it.

Both are the same but for what a consumer says of itself.
"""
from typing import Any

import pecan
from sqlalchemy import Row
from webob import Response

from km.api import body, containers, query, schemas, secrets
from km.api.resource import SharedResource, shown, verb
from km.db import consumers as rows
from km.db.models import ACTIVE, CONTAINER, SECRET
from km.errors import NotFound
from km.lifecycle import consumers

SECRET_CONSUMER = {
    'type': 'object',
    'properties': dict.fromkeys(('service', 'resource_type', 'resource_id'), schemas.TEXT),
    'required': ['service', 'resource_type', 'resource_id'],
}
CONSUMER = {
    'type': 'object',
    'properties': {'name': {**schemas.TEXT, 'maxLength': 36}, 'URL': schemas.TEXT},
    'required': ['name', 'URL'],
}
_REQUIRE = {SECRET: schemas.validator('Secret Consumer', SECRET_CONSUMER),
            CONTAINER: schemas.validator('Consumer', CONSUMER)}
_TAKEN = schemas.ByKind({SECRET: SECRET_CONSUMER, CONTAINER: CONSUMER})
#: What clients call what a consumer says, and what its row does.
_FIELDS = {
    SECRET: {'service': 'service', 'resource_type': 'resource_type', 'resource_id': 'resource_id'},
    CONTAINER: {'name': 'service', 'URL': 'resource_id'},
}
_SHOWN_NOW = {SECRET: secrets.shown_now, CONTAINER: containers.shown_now}
_WHOLE = schemas.ByKind({SECRET: secrets.SHOWN, CONTAINER: containers.SHOWN})
_SHOWN = schemas.ByKind({kind: schemas.exactly({
    'created': schemas.TIME, 'updated': schemas.TIME, 'status': {'const': ACTIVE},
    **dict.fromkeys(fields, schemas.STRING)}) for kind, fields in _FIELDS.items()})
_PAGES = schemas.ByKind({kind: schemas.page('consumers', one) for kind, one in _SHOWN.items()})


class Consumers(SharedResource):
    """``.../consumers``"""

    @verb(query=query.PAGING, answers={200: _PAGES})
    def get(self, object_id: str) -> Response:
        """A page of the consumers, oldest first."""
        environ, options = pecan.request.environ, self.house.options
        asked = query.read(environ)
        page = query.page(asked, default=options.default_page_size, most=options.max_page_size)
        with self.house.database.statement() as connection:
            found, total = rows.page(
                connection, self.kind, object_id, limit=page.limit, offset=page.offset)
        return shown({
            'consumers': [_described(self.kind, row) for row in found],
            'total': total, **page.links(self._link(object_id), asked, total)})

    @verb(takes=_TAKEN, answers={200: _WHOLE})
    def post(self, object_id: str) -> Response:
        """Register a consumer; 200 with what it is of, its consumers included."""
        consumer_id = self.call(
            consumers.register, pecan.request.environ['km.identity'], kind=self.kind,
            object_id=object_id, **_said(self.kind))
        response = _SHOWN_NOW[self.kind](self, object_id)
        response.headers['Location'] = self._link(object_id, consumer_id)
        return response

    @verb(takes=_TAKEN, answers={200: _WHOLE})
    def delete(self, object_id: str) -> Response:
        """Remove the consumer that the body describes; 200 like ``post``."""
        environ = pecan.request.environ
        self.call(
            consumers.remove, environ['km.identity'], kind=self.kind, object_id=object_id,
            project_id=environ['km.target'].project_id, **_said(self.kind))
        return _SHOWN_NOW[self.kind](self, object_id)

    def _link(self, object_id: str, *rest: str) -> str:
        return self.links.to(
            pecan.request.environ, f'{self.kind}s', object_id, 'consumers', *rest)


class Consumer(SharedResource):
    """``.../consumers/{consumer_id}``"""

    @verb(answers={200: _SHOWN})
    def get(self, object_id: str, consumer_id: str) -> Response:
        """One consumer."""
        with self.house.database.statement() as connection:
            row = rows.get(connection, self.kind, object_id, consumer_id)
        if row is None:
            raise NotFound('Consumer not found.')
        return shown(_described(self.kind, row))


def _said(kind: str) -> dict[str, str]:
    """What the body of a request says of a consumer, as ``lifecycle.consumers`` takes it."""
    told: dict[str, Any] = body.read(pecan.request)
    _REQUIRE[kind](told)
    said = {column: told[field] for field, column in _FIELDS[kind].items()}
    return {'resource_type': '', **said}


def _described(kind: str, row: Row) -> dict[str, Any]:
    """A consumer as clients see it. There is no further key: clients choke on those they don't know."""
    return {
        'created': row.created.isoformat(), 'updated': row.updated.isoformat(), 'status': ACTIVE,
        **{field: getattr(row, column) for field, column in _FIELDS[kind].items()}}
