# SPDX-License-Identifier: Apache-2.0
"""``/v1/transport_keys`` and ``/v1/transport_key``: RSA keys that clients wrap payloads with.

A payload so wrapped is opened by the worker alone: no proxy that ends TLS sees it, nor does the
process of the API where that is another one. ``GET /v1/transport_key`` gives the key to use, as
SubjectPublicKeyInfo (RFC 5280) in PEM, and its ``transport_key_ref``. A client sends it back as
``transport_key_ref``, or its id as ``transport_key_id``, with a payload in one of two forms:

* a **compact JWE** (RFC 7516), for payloads of any length that km takes: ``alg`` RSA-OAEP-256, ``enc``
  A256GCM, neither ``zip`` nor ``crit``. ``kid``, if there, must be the key's id, and ``project_id``,
  if there, the project of the token: so it cannot be stored, and then read, from another one;
* one block of **RSA ciphertext**, in base64: the padding is OAEP, with SHA-256 or SHA-1 for both hash
  and MGF1. It has room for 318 bytes under SHA-256 and 342 under SHA-1 with a key of 3072 bits.
  PKCS#1 v1.5, which "openssl rsautl" writes, is read if ``transport_key_padding`` is ``pkcs1``.

``payload_content_type`` is that of the payload inside, and so text/plain can come in base64 too.
``payload_content_encoding`` may be ``base64`` or absent with either form and either type.
"""
from collections.abc import Mapping
from datetime import datetime

import pecan
from webob import Response

from km.api import body, query, schemas
from km.api.resource import HouseResource, created, nothing, shown, verb
from km.db import transport_keys as rows
from km.db.models import ACTIVE
from km.errors import Invalid, NotFound
from km.lifecycle import transport_keys

TRANSPORT_KEY = {
    'type': 'object',
    'properties': {
        'plugin_name': schemas.TEXT,
        'transport_key': {**schemas.TEXT, 'maxLength': 4096},
    },
    'required': ['plugin_name', 'transport_key'],
}
_require_transport_key = schemas.validator('Transport Key', TRANSPORT_KEY)

#: What a request names the key by that its payload is wrapped with: an id, or a URL that ends in it.
NAMES = frozenset(('transport_key_id', 'transport_key_ref'))
#: Of RSA ciphertext, in the words of "openssl pkeyutl -pkeyopt rsa_padding_mode".
PADDINGS = ('oaep', 'pkcs1')

#: What is insisted on beside, for who describes it.
_PUBLIC = {'properties': {'plugin_name': {'not': {'const': transport_keys.OWN}},
                          'transport_key': {'not': {'pattern': 'PRIVATE KEY'}}}}
#: Both, as parameters of an upload.
QUERY = {**dict.fromkeys(sorted(NAMES), schemas.STRING),
         'transport_key_padding': {'enum': list(PADDINGS)}}
_REF = schemas.exactly({'transport_key_ref': schemas.REF})
_TIME = {'type': 'string', 'pattern': r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$'}
_KEY = {'transport_key': schemas.STRING, 'plugin_name': schemas.STRING, 'status': {'const': ACTIVE}}
_ROW = {**_KEY, 'id': schemas.STRING, 'created_at': _TIME, 'updated_at': _TIME,
        'deleted': {'const': False}, 'deleted_at': {'type': 'null'}}

_COLLECTION = 'transport_keys'


class TransportKeys(HouseResource):
    """``/v1/transport_keys``"""

    @verb(query={**query.PAGING, 'plugin_name': schemas.STRING},
          answers={200: schemas.page('transport_keys', schemas.REF)})
    def get(self) -> Response:
        """A page of references to the keys, oldest first."""
        environ, options = pecan.request.environ, self.house.options
        asked = query.read(environ)
        page = query.page(asked, default=options.default_page_size, most=options.max_page_size)
        with self.house.database.statement() as connection:
            found, total = rows.page(connection, plugin_name=asked.get('plugin_name'),
                                     limit=page.limit, offset=page.offset)
        url = self.links.to(environ, _COLLECTION)
        return shown({
            'transport_keys': [self.links.to(environ, _COLLECTION, row.id) for row in found],
            'total': total, **page.links(url, asked, total)})

    @verb(takes={'allOf': [TRANSPORT_KEY, _PUBLIC]}, answers={201: _REF})
    def post(self) -> Response:
        """Register a public key for a plugin of another service; 201 with its reference."""
        environ = pecan.request.environ
        told = body.read(pecan.request)
        _require_transport_key(told)
        key_id = self.call(
            transport_keys.register, environ['km.identity'], plugin_name=told['plugin_name'],
            transport_key=_public(told['transport_key']))
        href = self.links.to(environ, _COLLECTION, key_id)
        return created({'transport_key_ref': href}, href)


class TransportKey(HouseResource):
    """``/v1/transport_keys/{transport_key_id}``"""

    @verb(answers={200: schemas.exactly(_ROW)})
    def get(self, transport_key_id: str) -> Response:
        """One key, as a row of the table that older clients know."""
        with self.house.database.statement() as connection:
            row = rows.get(connection, transport_key_id)
        if row is None:
            raise NotFound('Transport key not found.')
        return shown({
            'id': row.id, 'plugin_name': row.plugin_name, 'transport_key': row.transport_key,
            'status': row.status, 'created_at': _time(row.created), 'updated_at': _time(row.updated),
            'deleted': False, 'deleted_at': None})

    @verb(answers={204: None})
    def delete(self, transport_key_id: str) -> Response:
        """Delete it, with its private half; what was wrapped with it does not open any more; 204."""
        self.call(transport_keys.delete, pecan.request.environ['km.identity'],
                  transport_key_id=transport_key_id)
        return nothing()


class CurrentTransportKey(HouseResource):
    """``/v1/transport_key``"""

    @verb(answers={200: schemas.exactly({**_KEY, 'transport_key_ref': schemas.REF})}, fails=(404,))
    def get(self) -> Response:
        """The key to wrap payloads with from now on."""
        environ = pecan.request.environ
        key_id = self.call(transport_keys.current, environ['km.identity'])
        with self.house.database.statement() as connection:
            row = rows.get(connection, key_id)
        if row is None:  # deleted since
            raise NotFound('Transport key not found.')
        return shown({
            'transport_key': row.transport_key, 'plugin_name': row.plugin_name, 'status': row.status,
            'transport_key_ref': self.links.to(environ, _COLLECTION, row.id)})


def asked_for(resource: HouseResource, told: Mapping[str, str]) -> dict[str, str]:
    """``transport_key_ref`` of the current key, if a body or a query says that it is needed.

    :raises Invalid: there are no transport keys here.
    """
    if told.get('transport_key_needed') != 'true':
        return {}
    environ = pecan.request.environ
    try:
        key_id = resource.call(transport_keys.current, environ['km.identity'])
    except NotFound as error:
        raise Invalid(error.sentence) from None
    return {'transport_key_ref': resource.links.to(environ, _COLLECTION, key_id)}


def wrapping(told: Mapping[str, str]) -> dict[str, str | None] | None:
    """How a payload is wrapped, from a body or a query; None if neither of ``NAMES`` is in it.

    :returns: ``transport_key_id`` and ``padding``, as ``km.lifecycle.transport_keys.unwrap`` wants them.
    :raises Invalid: it names two keys, or a padding that km does not know.
    """
    named = {told[name].rpartition('/')[2] for name in NAMES if name in told}
    if len(named) > 1:
        raise Invalid('transport_key_id and transport_key_ref are not of the same transport key.')
    padding = told.get('transport_key_padding')
    if padding not in (None, *PADDINGS):
        raise Invalid('Provided field value is not supported: transport_key_padding.')
    return {'transport_key_id': named.pop(), 'padding': padding} if named else None


def _public(text: str) -> str:
    """What was sent as a public key or a certificate. Other services have forms of their own.

    :raises Invalid: it is a private key, which must not get into the metadata.
    """
    if 'PRIVATE KEY' in text:
        raise schemas.unfit('Transport Key', 'must be public', 'transport_key')
    return text


def _time(moment: datetime) -> str:
    return f'{moment:%Y-%m-%d %H:%M:%S.%f}'


