# SPDX-License-Identifier: Apache-2.0
"""``/v1/secrets/{secret_id}/metadata``: the keys and values users tie to a secret."""
import re
from typing import Any

import pecan
from webob import Response

from km.api import body, schemas
from km.api.resource import HouseResource, created, nothing, shown, verb
from km.db import metadata as rows
from km.errors import Conflict, Invalid, NotFound
from km.lifecycle import metadata

SECRET_METADATA = {
    'type': 'object',
    'properties': {'metadata': {'type': 'object'}},
    'required': ['metadata'],
    'additionalProperties': False,
}
SECRET_METADATUM = {
    'type': 'object',
    'properties': {'key': {**schemas.SHORT, 'minLength': 1}, 'value': schemas.SHORT},
    'required': ['key', 'value'],
    'additionalProperties': False,
}

_METADATA_KEY = re.compile(r'[A-Za-z0-9_-]{1,255}\Z')
_MAX_METADATA_VALUE = 255
#: What ``_pairs`` and ``_pair`` insist on, for who describes it.
_PAIRS = {'properties': {'metadata': {
    'propertyNames': {'pattern': '^[A-Za-z0-9_-]{1,255}$'}, 'additionalProperties': schemas.SHORT}}}
_PAIR = {'properties': {'key': {'pattern': '^[A-Za-z0-9_-]{1,255}$'}}}
PAIR = schemas.named('Metadatum Shown', schemas.exactly({
    'key': schemas.STRING, 'value': schemas.STRING}))
_require_metadata = schemas.validator('SecretMetadata', SECRET_METADATA)
_require_metadatum = schemas.validator('SecretMetadatum', SECRET_METADATUM)


class MetadataResource(HouseResource):
    """What both have."""

    def _link(self, secret_id: str, key: str) -> str:
        return self.links.to(pecan.request.environ, 'secrets', secret_id, 'metadata', key)


class Metadata(MetadataResource):
    """``/v1/secrets/{secret_id}/metadata``"""

    @verb(answers={200: schemas.exactly({'metadata': {
        'type': 'object', 'additionalProperties': schemas.STRING}})})
    def get(self, secret_id: str) -> Response:
        """All pairs."""
        with self.house.database.statement() as connection:
            return shown({'metadata': rows.get(connection, secret_id)})

    @verb(takes={'allOf': [SECRET_METADATA, _PAIRS]},
          answers={201: schemas.exactly({'metadata_ref': schemas.REF})})
    def put(self, secret_id: str) -> Response:
        """Replace all pairs; 201 with ``metadata_ref``."""
        pairs = _pairs(body.read(pecan.request))
        self.call(metadata.replace, pecan.request.environ['km.identity'],
                  secret_id=secret_id, pairs=pairs)
        href = self.links.to(pecan.request.environ, 'secrets', secret_id, 'metadata')
        return created({'metadata_ref': href}, href)

    @verb(takes={'allOf': [SECRET_METADATUM, _PAIR]}, answers={201: PAIR}, fails=(409,))
    def post(self, secret_id: str) -> Response:
        """Add a pair; 201, or 409 if the key is there."""
        key, value = _pair(body.read(pecan.request))
        self.call(metadata.add, pecan.request.environ['km.identity'],
                  secret_id=secret_id, key=key, value=value)
        return created({'key': key, 'value': value}, self._link(secret_id, key))


class Metadatum(MetadataResource):
    """``/v1/secrets/{secret_id}/metadata/{key}``"""

    @verb(answers={200: PAIR})
    def get(self, secret_id: str, key: str) -> Response:
        """One pair."""
        with self.house.database.statement() as connection:
            value = rows.value(connection, secret_id, key.lower())
        if value is None:
            raise NotFound('Secret metadata not found.')
        return shown({'key': key.lower(), 'value': value})

    @verb(takes={'allOf': [SECRET_METADATUM, _PAIR]}, answers={200: PAIR}, fails=(409,))
    def put(self, secret_id: str, key: str) -> Response:
        """Change a value; 404 if there is no such key."""
        return shown(self._put(secret_id, key, create=False))

    @verb(takes={'allOf': [SECRET_METADATUM, _PAIR]}, answers={201: PAIR}, fails=(409,))
    def post(self, secret_id: str, key: str) -> Response:
        """Add a pair or change it: what python-barbicanclient sends to add one; 201."""
        return created(self._put(secret_id, key, create=True), self._link(secret_id, key.lower()))

    @verb(answers={204: None})
    def delete(self, secret_id: str, key: str) -> Response:
        """Remove a pair; 204, also if there is none."""
        self.call(metadata.delete, pecan.request.environ['km.identity'],
                  secret_id=secret_id, key=key.lower())
        return nothing()

    def _put(self, secret_id: str, key: str, *, create: bool) -> dict[str, str]:
        named, value = _pair(body.read(pecan.request), key=key)
        self.call(metadata.put, pecan.request.environ['km.identity'],
                  secret_id=secret_id, key=named, value=value, create=create)
        return {'key': named, 'value': value}


def _pairs(told: dict[str, Any]) -> dict[str, str]:
    """All user metadata of a secret, with keys in lower case.

    :raises Invalid: a key is not URL safe, or a value is no short string.
    """
    _require_metadata(told)
    pairs = told['metadata']
    if not all(isinstance(value, str) for value in pairs.values()):
        raise Invalid('Invalid Metadata. Keys and Values must be Strings.')
    if any(len(value) > _MAX_METADATA_VALUE for value in pairs.values()):
        raise schemas.unfit('SecretMetadata', 'must be shorter than or equal to 255 characters',
                            'metadata')
    lowered = {_key(key): value for key, value in pairs.items()}
    if len(lowered) != len(pairs):
        raise Invalid('Invalid Metadata. Keys must differ in more than case.')
    return lowered


def _pair(told: dict[str, Any], *, key: str | None = None) -> tuple[str, str]:
    """One key and its value.

    :param key: the key in the path, which must be the same.
    :raises Conflict: it is another.
    """
    _require_metadatum(told)
    named = _key(told['key'])
    if key is not None and named != key.lower():
        raise Conflict('Key in the request does not match key in the request url.')
    return named, told['value']


def _key(key: str) -> str:
    """A key as km keeps it.

    :raises Invalid: it is not URL safe.
    """
    if not _METADATA_KEY.match(key):
        raise Invalid('Invalid Key. Key must be URL safe.')
    return key.lower()
