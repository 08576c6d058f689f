# SPDX-License-Identifier: Apache-2.0
"""``/v1/secrets/{secret_id}/metadata``: the keys and values users tie to a secret."""
import pecan
from webob import Response

from km.api import body, schemas
from km.api.resource import HouseResource, created, nothing, shown, verb
from km.db import metadata as rows
from km.errors import NotFound
from km.lifecycle import metadata


class MetadataResource(HouseResource):
    """What both have."""

    def _link(self, secret_id: str, key: str) -> str:
        return self.links.secret(pecan.request.environ, secret_id, 'metadata', key)


class Metadata(MetadataResource):
    """``/v1/secrets/{secret_id}/metadata``"""

    @verb
    def get(self, secret_id: str) -> Response:
        """All pairs."""
        with self.house.database.statement() as connection:
            return shown({'metadata': rows.get(connection, secret_id)})

    @verb
    def put(self, secret_id: str) -> Response:
        """Replace all pairs; 201 with ``metadata_ref``."""
        pairs = schemas.metadata(body.read(pecan.request))
        self.call(metadata.replace, pecan.request.environ['km.identity'],
                  secret_id=secret_id, pairs=pairs)
        href = self.links.secret(pecan.request.environ, secret_id, 'metadata')
        return created({'metadata_ref': href}, href)

    @verb
    def post(self, secret_id: str) -> Response:
        """Add a pair; 201, or 409 if the key is there."""
        key, value = schemas.metadatum(body.read(pecan.request))
        self.call(metadata.add, pecan.request.environ['km.identity'],
                  secret_id=secret_id, key=key, value=value)
        return created({'key': key, 'value': value}, self._link(secret_id, key))


class Metadatum(MetadataResource):
    """``/v1/secrets/{secret_id}/metadata/{key}``"""

    @verb
    def get(self, secret_id: str, key: str) -> Response:
        """One pair."""
        with self.house.database.statement() as connection:
            value = rows.value(connection, secret_id, key.lower())
        if value is None:
            raise NotFound('Secret metadata not found.')
        return shown({'key': key.lower(), 'value': value})

    @verb
    def put(self, secret_id: str, key: str) -> Response:
        """Change a value; 404 if there is no such key."""
        return shown(self._put(secret_id, key, create=False))

    @verb
    def post(self, secret_id: str, key: str) -> Response:
        """Add a pair or change it: what python-barbicanclient sends to add one; 201."""
        return created(self._put(secret_id, key, create=True), self._link(secret_id, key.lower()))

    @verb
    def delete(self, secret_id: str, key: str) -> Response:
        """Remove a pair; 204, also if there is none."""
        self.call(metadata.delete, pecan.request.environ['km.identity'],
                  secret_id=secret_id, key=key.lower())
        return nothing()

    def _put(self, secret_id: str, key: str, *, create: bool) -> dict[str, str]:
        named, value = schemas.metadatum(body.read(pecan.request), key=key)
        self.call(metadata.put, pecan.request.environ['km.identity'],
                  secret_id=secret_id, key=named, value=value, create=create)
        return {'key': named, 'value': value}
