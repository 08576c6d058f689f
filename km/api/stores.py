# SPDX-License-Identifier: Apache-2.0
"""``/v1/secret-stores``: which there are, and which one a project prefers.

The contract lets an admin choose for the own project. For any other project km adds the project's id
to the path, for the ACL sees nothing else of a request: ``POST`` and ``DELETE
/v1/secret-stores/{store_id}/preferred/{project_id}``, ``GET
/v1/secret-stores/preferred/{project_id}``. What a project has in a store stays there.
"""
from typing import Any

import pecan
from sqlalchemy import Row
from webob import Response

from km.api import query, schemas, versions
from km.api.resource import HouseResource, Links, nothing, shown, verb
from km.db import settings
from km.db import stores as rows
from km.db.models import ACTIVE, DISABLED
from km.errors import NotFound
from km.lifecycle import moving, stores

_FILTERS = ('name', 'status', 'crypto_plugin', 'secret_store_plugin')
_MOST_OF_A_PROJECT_ID = 255
SHOWN = schemas.named('Secret Store Shown', schemas.exactly({
    'created': schemas.TIME,
    'updated': schemas.TIME,
    'status': {'enum': [ACTIVE, DISABLED]},
    'name': schemas.STRING,
    'global_default': {'type': 'boolean'},
    'secret_store_plugin': schemas.STRING,
    'crypto_plugin': schemas.STRING_OR_NULL,
    'secret_store_ref': schemas.REF,
}, {'secret_store_id': schemas.STRING}))
_ALL = schemas.exactly({'secret_stores': {'type': 'array', 'items': SHOWN}})
_QUERY = {**dict.fromkeys(_FILTERS, schemas.STRING), 'global_default': query.BOOLEAN}


class Stores(HouseResource):
    """``/v1/secret-stores``"""

    @verb(query=_QUERY, answers={200: _ALL})
    def get(self) -> Response:
        """All stores that pass the query's filters, on one page."""
        environ = pecan.request.environ
        asked = query.read(environ)
        wanted: dict[str, Any] = {name: asked[name] for name in _FILTERS if name in asked}
        if 'global_default' in asked:
            wanted['global_default'] = query.boolean(asked, 'global_default')
        with self.house.database.statement() as connection:
            found = rows.all_of_them(connection)
        told = [described(row, environ, self.links) for row in found]
        return shown({'secret_stores': [
            store for store in told if all(store[name] == wanted[name] for name in wanted)]})


class GlobalDefault(HouseResource):
    """``/v1/secret-stores/global-default``"""

    @verb(answers={200: SHOWN}, fails=(404,))
    def get(self) -> Response:
        """The store of projects that prefer none."""
        with self.house.database.statement() as connection:
            row = rows.default(connection)
        return _shown(row, self.links)


class Preferred(HouseResource):
    """``/v1/secret-stores/preferred``"""

    @verb(answers={200: SHOWN}, fails=(404,))
    def get(self) -> Response:
        """The store that the own project prefers."""
        return self._get(pecan.request.environ['km.identity'].project_id)

    def _get(self, project_id: str) -> Response:
        with self.house.database.statement() as connection:
            project = settings.get(connection, project_id)
            if project is None or project.preferred_store is None:
                raise NotFound('No preferred secret store defined for this project.')
            row = rows.named(connection, project.preferred_store)
        return _shown(row, self.links)


class PreferredOfProject(Preferred):
    """``/v1/secret-stores/preferred/{project_id}``"""

    @verb(answers={200: SHOWN})
    def get(self, project_id: str) -> Response:
        """The store that any project prefers."""
        return self._get(project_id)


class Store(HouseResource):
    """``/v1/secret-stores/{store_id}``"""

    @verb(answers={200: SHOWN})
    def get(self, store_id: str) -> Response:
        """One store."""
        with self.house.database.statement() as connection:
            row = rows.get(connection, store_id)
        return _shown(row, self.links)


class Preference(HouseResource):
    """``/v1/secret-stores/{store_id}/preferred``"""

    @verb(answers={204: None})
    def post(self, store_id: str) -> Response:
        """Make it the store of the own project; 204."""
        self.call(stores.prefer, pecan.request.environ['km.identity'], store_id=store_id)
        return nothing()

    @verb(answers={204: None})
    def delete(self, store_id: str) -> Response:
        """Take that back; 204, or 404 if the project does not prefer this one."""
        self.call(stores.unprefer, pecan.request.environ['km.identity'], store_id=store_id)
        return nothing()


class PreferenceOfProject(HouseResource):
    """``/v1/secret-stores/{store_id}/preferred/{project_id}``"""

    @verb(answers={204: None})
    def post(self, store_id: str, project_id: str) -> Response:
        """Make it the store of any project; 204."""
        if len(project_id) > _MOST_OF_A_PROJECT_ID:
            raise NotFound('')
        self.call(stores.prefer_for, pecan.request.environ['km.identity'], store_id=store_id,
                  project_id=project_id)
        return nothing()

    @verb(answers={204: None})
    def delete(self, store_id: str, project_id: str) -> Response:
        """Take that back; 204, or 404 if the project does not prefer this one."""
        self.call(stores.unprefer_for, pecan.request.environ['km.identity'], store_id=store_id,
                  project_id=project_id)
        return nothing()


class StoreOfSecret(HouseResource):
    """``/v1/secrets/{secret_id}/secret-store/{store_id}``"""

    @verb(answers={204: None}, fails=(409,))
    def put(self, secret_id: str, store_id: str) -> Response:
        """Move the payload there, from microversion 1.3 on; 204. It can be read all the while."""
        environ = pecan.request.environ
        versions.require(environ, versions.STORES)
        self.call(moving.move, environ['km.identity'], secret_id=secret_id, store_id=store_id)
        return nothing()


def described(row: Row, environ: dict[str, Any], links: Links) -> dict[str, Any]:
    """A store as clients see it."""
    # Ahead of the reference: openstacksdk takes both for one attribute, and needs the latter last.
    newer = {'secret_store_id': row.id} if environ['km.microversion'] >= versions.STORES else {}
    return {
        'created': row.created.isoformat(),
        'updated': row.updated.isoformat(),
        'status': row.status,
        'name': row.name,
        'global_default': bool(row.global_default),
        'secret_store_plugin': row.plugin,
        'crypto_plugin': None,
        **newer,
        'secret_store_ref': links.to(environ, 'secret-stores', row.id),
    }


def _shown(row: Row | None, links: Links) -> Response:
    if row is None:
        raise NotFound('Secret store not found.')
    return shown(described(row, pecan.request.environ, links))
