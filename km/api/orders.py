# SPDX-License-Identifier: Apache-2.0
"""``/v1/orders``: keys and key pairs that km makes, and certificates that it gets."""
import json
from datetime import datetime
from typing import Any

import pecan
from sqlalchemy import Row
from webob import Response

from km.api import body, certificate_orders, payload, query, schemas, versions
from km.api.resource import HouseResource, Links, accepted, nothing, shown, verb
from km.db import certificate_orders as certificate_rows
from km.db import orders as rows
from km.db.models import ACTIVE, ERROR, PENDING
from km.db.pages import Filter
from km.lifecycle import certificate_orders as placing
from km.lifecycle import jobs, orders
from km.lifecycle.context import Task

_CURVES = (256, 384, 521)
_META = {
    'type': 'object',
    'properties': {
        'algorithm': schemas.TEXT,
        'bit_length': schemas.BIT_LENGTH,
        'mode': schemas.SHORT_OR_NULL,
        'name': schemas.SHORT_OR_NULL,
        'expiration': {**schemas.SHORT_OR_NULL, 'format': 'expiration'},
        'payload_content_type': schemas.SHORT_OR_NULL,
        'passphrase': schemas.SHORT_OR_NULL,
        'pass_phrase': schemas.SHORT_OR_NULL,
    },
    'required': ['algorithm', 'bit_length'],
}
ORDER = {
    'type': 'object',
    'properties': {'type': {'enum': [jobs.KEY, jobs.ASYMMETRIC]}, 'meta': _META},
    'required': ['type', 'meta'],
}
_EMPTY = {'enum': ['', None]}
_EC = '^[Ee][Cc]$'
_NO_PAIR = {'passphrase': _EMPTY, 'pass_phrase': _EMPTY}
#: What ``_checked`` and ``_passphrase`` insist on, for who describes it.
_FORMS = {
    'properties': {'meta': {
        'properties': {
            'payload': {'type': 'null'},
            'payload_content_type': {'enum': [payload.TEXT, *sorted(payload.BINARY), '', None]}},
        'anyOf': [
            {'properties': {'algorithm': {'pattern': _EC}, 'bit_length': {'enum': list(_CURVES)}}},
            {'properties': {'algorithm': {'not': {'pattern': _EC}}, 'bit_length': {'multipleOf': 8}}}],
    }},
    'anyOf': [
        {'properties': {'type': {'const': jobs.KEY}, 'meta': {'properties': _NO_PAIR}}},
        {'properties': {'type': {'const': jobs.ASYMMETRIC}, 'meta': {'anyOf': [
            {'properties': {'passphrase': _EMPTY}}, {'properties': {'pass_phrase': _EMPTY}}]}}}],
}
_require_order = schemas.validator('Order', ORDER)
_UNKNOWN = 'Unknown'
SHOWN = schemas.named('Order Shown', schemas.exactly({
    'created': schemas.TIME,
    'updated': schemas.TIME,
    'status': {'enum': [PENDING, ACTIVE, ERROR]},
    'type': {'enum': [jobs.KEY, jobs.ASYMMETRIC, jobs.CERTIFICATE]},
    'meta': {'anyOf': [certificate_orders.SHOWN_META, schemas.exactly({
        'name': schemas.STRING_OR_NULL, 'algorithm': schemas.STRING,
        'bit_length': schemas.INTEGER, 'mode': schemas.STRING_OR_NULL,
        'payload_content_type': schemas.STRING_OR_NULL, 'expiration': schemas.STRING_OR_NULL})]},
    'creator_id': schemas.STRING_OR_NULL,
    'order_ref': schemas.REF,
    'sub_status': schemas.STRING,
    'sub_status_message': schemas.STRING,
}, {
    'secret_ref': schemas.REF,
    'container_ref': schemas.REF,
    'error_status_code': schemas.STRING,
    'error_reason': schemas.STRING,
}))


class Orders(HouseResource):
    """``/v1/orders``"""

    @verb(query={**query.PAGING, 'meta': {'type': 'string', 'description': 'What is in the meta.'},
                 'type': {'type': 'string', 'description': 'Orders of certificates are listed if this '
                                                           'is "certificate", and else are not.'}},
          answers={200: schemas.page('orders', SHOWN)})
    def get(self) -> Response:
        """A page of the project's orders.

        Clients of today fail at what they do not know: so those of certificates are listed for who asks
        for them alone."""
        environ, options = pecan.request.environ, self.house.options
        asked = query.read(environ)
        page = query.page(asked, default=options.default_page_size, most=options.max_page_size)
        certificates = asked.get('type') == jobs.CERTIFICATE
        with self.house.database.statement() as connection:
            found, total = rows.page(
                connection, environ['km.identity'].project_id, filters=_filters(asked),
                types=_types(asked.get('type')), limit=page.limit, offset=page.offset)
            csrs = certificate_rows.requests(
                connection, [row.id for row in found]) if certificates and found else {}
        return shown({
            'orders': [described(row, environ, self.links, csr=csrs.get(row.id)) for row in found],
            'total': total,
            **page.links(self.links.to(environ, 'orders'), asked, total)})

    @verb(takes={'anyOf': [{'allOf': [ORDER, _FORMS]}, certificate_orders.CERTIFICATE_ORDER]},
          answers={202: schemas.exactly({'order_ref': schemas.REF})})
    def post(self) -> Response:
        """Place an order; 202 with its ``order_ref``."""
        request = pecan.request
        told = body.read(request)
        if told.get('type') == jobs.CERTIFICATE:
            order_id = self._place_certificate(told)
        else:
            _require_order(told)
            meta = told['meta']
            order_id = self.call(
                orders.place, request.environ['km.identity'], order_type=told['type'],
                meta=_checked(meta, now=self.house.clock()),
                passphrase=_passphrase(told['type'], meta))
        href = self.links.to(request.environ, 'orders', order_id)
        return accepted({'order_ref': href}, href)

    def _place_certificate(self, told: dict[str, Any]) -> str:
        certificate_orders.require(told)
        return self.call(
            placing.place, pecan.request.environ['km.identity'],
            **certificate_orders.checked(told['meta'], now=self.house.clock()))


class Order(HouseResource):
    """``/v1/orders/{order_id}``"""

    @verb(answers={200: SHOWN})
    def get(self, order_id: str) -> Response:
        """How the order stands, and what it made."""
        environ = pecan.request.environ
        row, csr = environ['km.target'], None
        if row.type == jobs.CERTIFICATE:
            with self.house.database.statement() as connection:
                csr = certificate_rows.requests(connection, [order_id]).get(order_id)
        return shown(described(row, environ, self.links, csr=csr))

    @verb(answers={204: None}, fails=(409,))
    def delete(self, order_id: str) -> Response:
        """Delete the order, and nothing of what it made; 204."""
        self.call(orders.delete, pecan.request.environ['km.identity'], order_id=order_id)
        return nothing()


class Approval(HouseResource):
    """``/v1/orders/{order_id}/approve``"""

    @verb(answers={202: schemas.exactly({'order_ref': schemas.REF})}, fails=(409,))
    def post(self, order_id: str) -> Response:
        """Approve an order of a certificate that waits for it, from microversion 1.4 on; 202.

        Somebody else must have placed it."""
        return _acted(self, placing.approve, order_id)


class Cancellation(HouseResource):
    """``/v1/orders/{order_id}/cancel``"""

    @verb(answers={202: schemas.exactly({'order_ref': schemas.REF})}, fails=(409,))
    def post(self, order_id: str) -> Response:
        """Give up a pending order of a certificate, from microversion 1.4 on; 202.

        If the authority has issued it by then it is kept."""
        return _acted(self, placing.cancel, order_id)


def _acted(resource: HouseResource, task: Task, order_id: str) -> Response:
    """The answer to something that is done with an order of a certificate."""
    environ = pecan.request.environ
    versions.require(environ, versions.CERTIFICATES)
    resource.call(task, environ['km.identity'], order_id=order_id)
    href = resource.links.to(environ, 'orders', order_id)
    return accepted({'order_ref': href}, href)


def described(row: Row, environ: dict[str, Any], links: Links, *,
              csr: str | None = None) -> dict[str, Any]:
    """An order as clients see it. There is no further key: clients choke on those they don't know.

    :param csr: the request, PEM, if it is one of a certificate.
    """
    meta = json.loads(row.meta)
    if row.type == jobs.CERTIFICATE:
        meta = certificate_orders.shown(meta, csr, environ, links)
    told = {
        'created': row.created.isoformat(),
        'updated': row.updated.isoformat(),
        'status': row.status,
        'type': row.type,
        'meta': meta,
        'creator_id': row.creator_id,
        'order_ref': links.to(environ, 'orders', row.id),
        'sub_status': row.sub_status or _UNKNOWN,
        'sub_status_message': row.sub_status_message or _UNKNOWN,
    }
    if row.status == ACTIVE and row.secret_id:
        told['secret_ref'] = links.to(environ, 'secrets', row.secret_id)
    if row.status == ACTIVE and row.container_id:
        told['container_ref'] = links.to(environ, 'containers', row.container_id)
    if row.status == ERROR:
        told |= {'error_status_code': row.error_status_code, 'error_reason': row.error_reason}
    return told


def _checked(meta: dict[str, Any], *, now: datetime) -> dict[str, Any]:
    """What is kept and shown of an order's meta. An algorithm that km does not know fails the order,
    not the request.

    :raises Invalid: the fields do not go together.
    """
    bits = int(meta['bit_length'])
    if meta['algorithm'].lower() == 'ec':
        if bits not in _CURVES:
            raise schemas.unfit('Order', f'must be one of {_CURVES} for ec', 'meta.bit_length')
    elif bits % 8:
        raise schemas.unfit('Order', 'must be a multiple of 8', 'meta.bit_length')
    if meta.get('payload') is not None:
        raise schemas.unfit('Order', 'must not be given in an order', 'meta.payload')
    content_type = meta.get('payload_content_type') or None
    if content_type and not payload.normal(content_type):
        raise schemas.unfit('Order', 'is not supported', 'meta.payload_content_type')
    expiration = schemas.expiration('Order', meta.get('expiration'), now=now)
    return {
        'name': meta.get('name'), 'algorithm': meta['algorithm'], 'bit_length': bits,
        'mode': meta.get('mode'), 'payload_content_type': content_type,
        'expiration': expiration and expiration.isoformat(timespec='microseconds')}


def _passphrase(order_type: str, meta: dict[str, Any]) -> str | None:
    """The passphrase of a pair, by either of its names: clients and servers never agreed on one.

    :raises Invalid: it is given twice, or for what has no private half.
    """
    given = {meta[name] for name in ('passphrase', 'pass_phrase') if meta.get(name)}
    if len(given) > 1 or (given and order_type != jobs.ASYMMETRIC):
        raise schemas.unfit('Order', 'must be given once, and for asymmetric keys only',
                            'meta.passphrase')
    return given.pop() if given else None


def _types(asked: str | None) -> tuple[str, ...]:
    """The types of orders that a list has."""
    usual = jobs.KEY, jobs.ASYMMETRIC
    if asked is None:
        return usual
    return (asked,) if asked in (*usual, jobs.CERTIFICATE) else ()


def _filters(asked: dict[str, str]) -> list[Filter]:
    if 'meta' not in asked:
        return []
    pattern = ''.join('\\' + letter if letter in '%_\\' else letter for letter in asked['meta'])
    return [Filter('meta', 'like', f'%{pattern}%')]
