# SPDX-License-Identifier: Apache-2.0
"""``/v1/secrets``: create, list, read, delete; a payload in two ways."""
from collections.abc import Mapping, Sequence
from typing import Any

import pecan
from sqlalchemy import Connection, Row
from webob import Response

from km.acl.rules import SECRET_DECRYPT
from km.api import body, payload, query, schemas, transport_keys, versions
from km.api.resource import HouseResource, Links, created, nothing, shown, verb
from km.db import models
from km.db import secrets as rows
from km.db import stores as store_rows
from km.db.consumers import of as consumers_of
from km.db.pages import Filter
from km.errors import Invalid, NotFound
from km.lifecycle import secrets

_TYPES = ['symmetric', 'public', 'private', 'passphrase', 'certificate', 'opaque']
SECRET = {
    'type': 'object',
    'properties': {
        'name': schemas.SHORT_OR_NULL,
        'algorithm': schemas.SHORT,
        'mode': schemas.SHORT,
        'bit_length': schemas.BIT_LENGTH,
        'expiration': schemas.EXPIRATION,
        'secret_type': {'enum': _TYPES},
        'payload': {'type': 'string', 'minLength': 1},
        'payload_content_type': schemas.SHORT_OR_NULL,
        'payload_content_encoding': {'enum': ['base64']},
        'transport_key_needed': {'enum': ['true', 'false']},
        'transport_key_id': {'type': 'string'},
        'transport_key_ref': {'type': 'string'},
        'transport_key_padding': {'enum': list(transport_keys.PADDINGS)},
    },
}
_require_secret = schemas.validator('Secret', SECRET)

_VERBATIM = frozenset(('payload',))
_SORTABLE = frozenset(('algorithm', 'bit_length', 'created', 'expiration', 'mode', 'name',
                       'secret_type', 'status', 'updated'))
_TEXT_FILTERS = {'name': 'name', 'alg': 'algorithm', 'mode': 'mode'}
_TIME_FILTERS = ('created', 'updated', 'expiration')

_CONSUMER = schemas.exactly(dict.fromkeys(
    ('service', 'resource_type', 'resource_id'), schemas.STRING))
_ASKED_FOR = {'transport_key_ref': schemas.REF}
_STORE_OR_NULL = {'secret_store_id': schemas.STRING_OR_NULL,
                  'secret_store_ref': {'anyOf': [schemas.REF, {'type': 'null'}]}}
SHOWN = schemas.named('Secret Shown', schemas.exactly({
    'created': schemas.TIME,
    'updated': schemas.TIME,
    'status': {'const': models.ACTIVE},
    'name': schemas.STRING_OR_NULL,
    'secret_type': {'enum': _TYPES},
    'expiration': {'anyOf': [schemas.TIME, {'type': 'null'}]},
    'algorithm': schemas.STRING_OR_NULL,
    'bit_length': schemas.INTEGER_OR_NULL,
    'mode': schemas.STRING_OR_NULL,
    'creator_id': schemas.STRING_OR_NULL,
    'secret_ref': schemas.REF,
}, {
    'content_types': schemas.exactly({'default': schemas.STRING}),
    'consumers': {'type': 'array', 'items': _CONSUMER},
    **_STORE_OR_NULL,
    **_ASKED_FOR,
}))
_QUERY = {
    **query.PAGING, **dict.fromkeys(_TEXT_FILTERS, query.NAME_LIKE),
    **dict.fromkeys(_TIME_FILTERS, query.TIMES), 'bits': query.BITS, 'secret_type': schemas.STRING,
    'acl_only': {'type': ['boolean', 'string'],
                 'description': 'true for what other projects share with the caller, alone.'},
    'sort': query.ordering(_SORTABLE),
}


class Secrets(HouseResource):
    """``/v1/secrets``"""

    @verb(query=_QUERY, answers={200: schemas.page('secrets', SHOWN)})
    def get(self) -> Response:
        """A page of the secrets the caller may see, filtered and sorted as the query says."""
        environ, options = pecan.request.environ, self.house.options
        asked = query.read(environ)
        page = query.page(asked, default=options.default_page_size, most=options.max_page_size)
        with_consumers = environ['km.microversion'] >= versions.CONSUMERS
        with self.house.database.statement() as connection:
            found, total = rows.page(
                connection, _viewer(environ, asked), filters=_filters(asked), now=self.house.clock(),
                order=query.order(asked['sort'], _SORTABLE) if asked.get('sort') else (),
                limit=page.limit, offset=page.offset, consumers=with_consumers)
            stores = _stores(connection, environ)
        url = self.links.to(environ, 'secrets')
        return shown({
            'secrets': [described(secret[0], environ, self.links,
                                  consumers=secret if with_consumers else None, stores=stores)
                        for secret in found],
            'total': total, **page.links(url, asked, total)})

    @verb(takes={'allOf': [SECRET, payload.FORMS]},
          answers={201: schemas.exactly({'secret_ref': schemas.REF}, _ASKED_FOR)})
    def post(self) -> Response:
        """Create a secret; 201 with its ``secret_ref``."""
        environ = pecan.request.environ
        told, new = self._new()
        asked = transport_keys.asked_for(self, told) if 'transport_key_needed' in told else {}
        secret_id = self.call(secrets.create, environ['km.identity'], **new)
        href = self.links.to(environ, 'secrets', secret_id)
        return created({'secret_ref': href, **asked}, href)

    def _new(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The body, and what it says of a new secret, as ``lifecycle.secrets.create`` takes it.

        :raises Invalid: it does not have the shape, or its fields do not go together.
        """
        told = body.read(pecan.request, verbatim=_VERBATIM)
        _require_secret(told)
        if told.get('payload') is None and told.get('payload_content_type') is not None:
            raise schemas.unfit('Secret', 'must not be given without payload', 'payload_content_type')
        bit_length = told.get('bit_length')
        new = {
            'name': told.get('name'), 'algorithm': told.get('algorithm'), 'mode': told.get('mode'),
            'bit_length': None if bit_length is None else int(bit_length),
            'secret_type': told.get('secret_type', 'opaque'),
            'expiration': schemas.expiration(
                'Secret', told.get('expiration'), now=self.house.clock()),
        }
        if 'payload' in told:
            if wrapped := not transport_keys.NAMES.isdisjoint(told):
                new['wrapping'] = transport_keys.wrapping(told)
            new['payload'], new['content_type'] = payload.from_json(
                told['payload'], told.get('payload_content_type'),
                told.get('payload_content_encoding'), limit=self.house.options.max_payload_bytes,
                wrapped=wrapped)
        return told, new


class Secret(HouseResource):
    """``/v1/secrets/{secret_id}``"""

    json_only = False

    @verb(query={'transport_key_needed': {'enum': ['true', 'false']}},
          answers={200: schemas.ByType({'application/json': SHOWN, **payload.PAYLOAD})})
    def get(self, secret_id: str) -> Response:
        """The metadata; the payload, if that is what the ACL middleware understood."""
        environ = pecan.request.environ
        if environ['km.rule'].action == SECRET_DECRYPT:
            return _payload(self.call, environ)
        row, consumers, stores = environ['km.target'], None, None
        if environ['km.microversion'] >= versions.CONSUMERS:
            with self.house.database.statement() as connection:
                consumers = consumers_of(connection, models.SECRET, secret_id)
                stores = _stores(connection, environ)
        return shown({**described(row, environ, self.links, consumers=consumers, stores=stores),
                      **transport_keys.asked_for(self, query.read(environ))})

    @verb(query=transport_keys.QUERY, takes=payload.PAYLOAD, answers={204: None}, fails=(409,))
    def put(self, secret_id: str) -> Response:
        """Give the secret its payload, which is the whole body; 204."""
        request = pecan.request
        wrapping = transport_keys.wrapping(query.read(request.environ))
        data, content_type = payload.from_body(
            request, limit=self.house.options.max_payload_bytes, wrapped=wrapping is not None)
        self.call(
            secrets.put_payload, request.environ['km.identity'], secret_id=secret_id,
            project_id=request.environ['km.target'].project_id, payload=data,
            content_type=content_type, wrapping=wrapping)
        return nothing()

    @verb(query={'force': query.BOOLEAN}, answers={204: None}, fails=(409,))
    def delete(self, secret_id: str) -> Response:
        """Delete it for good; 204. Consumers keep newer clients from doing so without ``force``."""
        environ = pecan.request.environ
        force = query.boolean(query.read(environ), 'force')
        self.call(secrets.delete, environ['km.identity'], secret_id=secret_id,
                  force=force or environ['km.microversion'] < versions.KEPT_FOR_CONSUMERS)
        return nothing()


class Payload(HouseResource):
    """``/v1/secrets/{secret_id}/payload``"""

    json_only = False

    @verb(answers={200: payload.PAYLOAD})
    def get(self, secret_id: str) -> Response:
        """The payload, in the one type the Accept header names."""
        return _payload(self.call, pecan.request.environ)


def shown_now(resource: HouseResource, secret_id: str) -> Response:
    """A secret as it is at this moment, with its consumers at every microversion.

    :raises NotFound: it was deleted meanwhile.
    """
    with resource.house.database.statement() as connection:
        row = rows.get(connection, secret_id, reader=None, now=resource.house.clock(), whole=True)
        if row is None:
            raise NotFound('Secret not found.')
        consumers = consumers_of(connection, models.SECRET, secret_id)
    return shown(described(row, pecan.request.environ, resource.links, consumers=consumers))


def described(row: Row, environ: dict[str, Any], links: Links, *, consumers: Sequence[Row] | None,
              stores: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A secret as clients see it. There is no further key: clients choke on those they don't know.

    :param consumers: None if they are not to be shown; one whose ``service`` is None is none.
    :param stores: the ids of stores by their names; None if the secret's is not to be shown.
    """
    told = {
        'created': row.created.isoformat(),
        'updated': row.updated.isoformat(),
        'status': row.status,
        'name': row.name,
        'secret_type': row.secret_type,
        'expiration': row.expiration and row.expiration.isoformat(),
        'algorithm': row.algorithm,
        'bit_length': row.bit_length,
        'mode': row.mode,
        'creator_id': row.creator_id,
        'secret_ref': links.to(environ, 'secrets', row.id),
    }
    if row.reference is not None:
        told['content_types'] = {'default': row.content_type}
    if consumers is not None:
        told['consumers'] = [
            {'service': consumer.service, 'resource_type': consumer.resource_type,
             'resource_id': consumer.resource_id}
            for consumer in consumers if consumer.service is not None]
    if stores is not None:
        store_id = stores.get(row.store)
        told['secret_store_id'] = store_id
        told['secret_store_ref'] = store_id and links.to(environ, 'secret-stores', store_id)
    return told


def _stores(connection: Connection, environ: dict[str, Any]) -> Mapping[str, str] | None:
    return store_rows.ids(connection) if environ['km.microversion'] >= versions.STORES else None


def _viewer(environ: dict[str, Any], asked: dict[str, str]) -> rows.Viewer:
    if asked.get('acl_only', '').lower() == 'true':
        sees = 'shared by others'
    else:
        sees = 'all of the project' if environ['km.sees_private'] else 'open of the project'
    identity = environ['km.identity']
    return rows.Viewer(identity.project_id, identity.user_id, sees)


def _filters(asked: dict[str, str]) -> list[Filter]:
    found = [query.text(column, asked[key]) for key, column in _TEXT_FILTERS.items() if key in asked]
    for key in _TIME_FILTERS:
        if key in asked:
            found += query.times(key, asked[key])
    if 'secret_type' in asked:
        found.append(Filter('secret_type', 'eq', asked['secret_type']))
    return found + query.bits(asked.get('bits', ''))


def _payload(call: Any, environ: dict[str, Any]) -> Response:
    row = environ['km.target']
    if 'trans_wrapped_session_key' in query.read(environ):
        raise Invalid('Payloads are not given out wrapped.')
    if row.reference is None:
        raise NotFound('Sorry but your secret has no payload.')
    data = call(
        secrets.payload, environ['km.identity'], secret_id=row.id, project_id=row.project_id,
        store=row.store, reference=row.reference)
    content_type = payload.negotiated(environ.get('HTTP_ACCEPT'), row.content_type, data)
    return Response(body=data, headerlist=[
        ('Content-Type', content_type), ('Content-Length', str(len(data))),
        ('Cache-Control', 'no-store')])
