# SPDX-License-Identifier: Apache-2.0
"""``/v1/secrets/{secret_id}/acl`` and ``/v1/containers/{container_id}/acl``: who may read it beside
its project."""
from typing import Any

import pecan
from webob import Response

from km.api import body, schemas
from km.api.resource import SharedResource, shown, verb
from km.db import acls as rows
from km.lifecycle import acls

ACL = {
    'type': 'object',
    'properties': {
        'read': {
            'type': 'object',
            'properties': {
                'users': {'type': 'array', 'items': schemas.TEXT},
                'project-access': {'type': 'boolean'},
            },
            'additionalProperties': False,
        },
    },
    'additionalProperties': False,
}
_require_acl = schemas.validator('ACL', ACL)

SHOWN = schemas.named('ACL Shown', schemas.exactly({'read': schemas.exactly(
    {'project-access': {'type': 'boolean'}},
    {'users': {'type': 'array', 'items': {'type': 'string'}},
     'created': schemas.TIME, 'updated': schemas.TIME})}))
_REF = schemas.exactly({'acl_ref': schemas.REF})


class Acl(SharedResource):
    """``.../acl``"""

    @verb(answers={200: SHOWN})
    def get(self, object_id: str) -> Response:
        """The ACL; without one, what that means."""
        row = pecan.request.environ['km.target']
        if row.acl_created is None:
            return shown({'read': {'project-access': True}})
        with self.house.database.statement() as connection:
            users = rows.users(connection, self.kind, object_id)
        return shown({'read': {
            'created': row.acl_created.isoformat(), 'updated': row.acl_updated.isoformat(),
            'project-access': bool(row.project_access), 'users': list(users)}})

    @verb(takes=ACL, answers={200: _REF})
    def put(self, object_id: str) -> Response:
        """Replace the ACL; an empty one removes it."""
        read = _read()
        if not read:
            self._delete(object_id)
            return self._ref(object_id)
        return self._put(object_id, project_access=read.get('project-access', True),
                         users=read.get('users', []))

    @verb(takes=ACL, answers={200: _REF})
    def patch(self, object_id: str) -> Response:
        """Change what is given and nothing else."""
        read = _read()
        return self._put(object_id, project_access=read.get('project-access'),
                         users=read.get('users'))

    @verb(answers={200: {'type': 'null'}})
    def delete(self, object_id: str) -> Response:
        """Back to the default; 200 with ``null``, which clients decode."""
        self._delete(object_id)
        return shown(None)

    def _put(self, object_id: str, **read: Any) -> Response:
        self.call(acls.put, pecan.request.environ['km.identity'], kind=self.kind,
                  object_id=object_id, **read)
        return self._ref(object_id)

    def _delete(self, object_id: str) -> None:
        self.call(acls.delete, pecan.request.environ['km.identity'], kind=self.kind,
                  object_id=object_id)

    def _ref(self, object_id: str) -> Response:
        return shown({'acl_ref': self.links.to(
            pecan.request.environ, f'{self.kind}s', object_id, 'acl')})


def _read() -> dict[str, Any]:
    """What a request's body says of an ACL: its ``read`` part, or nothing."""
    told = body.read(pecan.request)
    _require_acl(told)
    return told.get('read', {})
