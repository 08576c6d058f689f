# SPDX-License-Identifier: Apache-2.0
"""``/v1/quotas`` and ``/v1/project-quotas``: how much a project may have."""
from typing import Any

import pecan
from sqlalchemy import Row
from webob import Response

from km.api import body, query, schemas
from km.api.resource import HouseResource, nothing, shown, verb
from km.db import settings as rows
from km.errors import Malformed, NotFound
from km.lifecycle import quotas

_MOST = 2 ** 31 - 1
_QUOTA = {'type': ['integer', 'null'], 'minimum': -_MOST, 'maximum': _MOST}
PROJECT_QUOTAS = {
    'type': 'object',
    'properties': {
        'project_quotas': {
            'type': 'object',
            'properties': dict.fromkeys(rows.RESOURCES, _QUOTA),
            'minProperties': 1,
            'additionalProperties': False,
        },
    },
    'required': ['project_quotas'],
    'additionalProperties': False,
}
_require_quotas = schemas.validator('Project Quota', PROJECT_QUOTAS)
_LONGEST_ID = 255
_OWN = schemas.exactly(dict.fromkeys(rows.RESOURCES, schemas.INTEGER_OR_NULL))


class Quotas(HouseResource):
    """``/v1/quotas``"""

    @verb(answers={200: schemas.exactly({
        'quotas': schemas.exactly(dict.fromkeys(rows.RESOURCES, schemas.INTEGER))})})
    def get(self) -> Response:
        """What holds for the caller's project; -1 is no limit."""
        identity = pecan.request.environ['km.identity']
        defaults = self.call(quotas.defaults, identity)
        with self.house.database.statement() as connection:
            project = rows.get(connection, identity.project_id)
        return shown({'quotas': {
            resource: quotas.limit_of(defaults, project, resource) for resource in rows.RESOURCES}})


class AllProjectQuotas(HouseResource):
    """``/v1/project-quotas``"""

    @verb(query=query.PAGING, answers={200: schemas.page('project_quotas', schemas.exactly({
        'project_id': {'type': 'string'}, 'project_quotas': _OWN}))})
    def get(self) -> Response:
        """A page of the projects that have quotas of their own."""
        environ, options = pecan.request.environ, self.house.options
        asked = query.read(environ)
        page = query.page(asked, default=options.default_page_size, most=options.max_page_size)
        with self.house.database.statement() as connection:
            found, total = rows.page_of_quotas(connection, limit=page.limit, offset=page.offset)
        return shown({
            'project_quotas': [{'project_id': row.project_id, 'project_quotas': _told(row)}
                               for row in found],
            'total': total, **page.links(self.links.to(environ, 'project-quotas'), asked, total)})


class ProjectQuotas(HouseResource):
    """``/v1/project-quotas/{project_id}``"""

    @verb(answers={200: schemas.exactly({'project_quotas': _OWN})})
    def get(self, project_id: str) -> Response:
        """A project's own quotas; null where the default holds."""
        with self.house.database.statement() as connection:
            row = rows.get(connection, project_id)
        if row is None or row.quotas_set is None:
            raise NotFound('Project quotas not found.')
        return shown({'project_quotas': _told(row)})

    @verb(takes=PROJECT_QUOTAS, answers={204: None})
    def put(self, project_id: str) -> Response:
        """Set those that are given, and let the default hold where null is; 204."""
        told = body.read(pecan.request)
        _require_quotas(told)
        if len(project_id) > _LONGEST_ID:
            raise Malformed('A project id has 255 characters at most.')
        given = {resource: None if limit is None else int(limit)
                 for resource, limit in told['project_quotas'].items()}
        self.call(quotas.put, pecan.request.environ['km.identity'], project_id=project_id,
                  quotas=given)
        return nothing()

    @verb(answers={204: None})
    def delete(self, project_id: str) -> Response:
        """Let the defaults hold again; 204."""
        self.call(quotas.delete, pecan.request.environ['km.identity'], project_id=project_id)
        return nothing()


def _told(row: Row) -> dict[str, Any]:
    return {resource: getattr(row, resource) for resource in rows.RESOURCES}
