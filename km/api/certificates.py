# SPDX-License-Identifier: Apache-2.0
"""``/v1/certificates``: what was issued; renewed and revoked. From microversion 1.4 on."""
import json
from datetime import datetime
from typing import Any

import pecan
from sqlalchemy import Row
from webob import Response

from km.api import body, query, schemas, versions
from km.api.resource import HouseResource, Links, accepted, shown, verb
from km.db import certificates as rows
from km.db.pages import Filter
from km.interfaces import REVOCATION_REASONS
from km.lifecycle import renewals, revocations

REVOCATION = {
    'type': 'object',
    'properties': {
        'reason': {'enum': [*REVOCATION_REASONS, None]},
        'invalidity_date': {**schemas.SHORT_OR_NULL, 'format': 'date-time'},
    },
    'additionalProperties': False,
}
_require_revocation = schemas.validator('Revocation', REVOCATION)
ISSUED, REVOKED, REVOKING, ON_HOLD, ENDED = 'ISSUED', 'REVOKED', 'REVOKING', 'ON_HOLD', 'ENDED'
SHOWN = schemas.named('Certificate Shown', schemas.exactly({
    'certificate_id': schemas.STRING,
    'created': schemas.TIME,
    'updated': schemas.TIME,
    'status': {'enum': [ISSUED, REVOKED, REVOKING, ON_HOLD, ENDED]},
    'version': schemas.INTEGER,
    'is_current': {'type': 'boolean'},
    'serial': schemas.STRING,
    'subject': schemas.STRING,
    'issuer': schemas.STRING,
    'names': {'type': 'array', 'items': schemas.STRING},
    'sha256_fingerprint': schemas.STRING,
    'not_before': schemas.TIME,
    'not_after': schemas.TIME,
    'days_left': schemas.INTEGER,
    'profile': schemas.STRING_OR_NULL,
    'renew_at': {'anyOf': [schemas.TIME, {'type': 'null'}]},
    'renewal_failures': schemas.INTEGER,
    'revoked': {'anyOf': [schemas.TIME, {'type': 'null'}]},
    'revocation_reason': schemas.STRING_OR_NULL,
    'ca_ref': schemas.REF,
    'order_ref': schemas.REF,
    'container_ref': schemas.REF,
    'certificate_ref': schemas.REF,
    'secret_refs': schemas.exactly({'certificate': schemas.REF}, {
        'intermediates': schemas.REF, 'private_key': schemas.REF,
        'private_key_passphrase': schemas.REF}),
}, {'renewal_order_ref': schemas.REF}))
_SECRETS = {'certificate': 'certificate_id', 'intermediates': 'intermediates_id',
            'private_key': 'private_key_id', 'private_key_passphrase': 'passphrase_id'}


class Certificates(HouseResource):
    """``/v1/certificates``"""

    @verb(query={**query.PAGING,
                 'container_id': {'type': 'string', 'description': 'Of the container of that id, with '
                                                                   'its former versions.'},
                 'expires_before': {'type': 'string', 'format': 'date-time'}},
          answers={200: schemas.page('certificates', SHOWN)}, fails=(404,))
    def get(self) -> Response:
        """A page of the project's certificates, those in use; the first to end comes first."""
        environ, options = pecan.request.environ, self.house.options
        versions.require(environ, versions.CERTIFICATES)
        asked = query.read(environ)
        page = query.page(asked, default=options.default_page_size, most=options.max_page_size)
        with self.house.database.statement() as connection:
            found, total = rows.page(
                connection, environ['km.identity'].project_id, filters=_filters(asked),
                former_too='container_id' in asked, limit=page.limit, offset=page.offset,
                order=('not_after', 'id'))
        now = self.house.clock()
        return shown({
            'certificates': [described(row, environ, self.links, now=now) for row in found],
            'total': total, **page.links(self.links.to(environ, 'certificates'), asked, total)})


class Certificate(HouseResource):
    """``/v1/certificates/{certificate_id}``"""

    @verb(answers={200: SHOWN})
    def get(self, certificate_id: str) -> Response:
        """A certificate: what it says, where it is, and how it stands."""
        environ = pecan.request.environ
        versions.require(environ, versions.CERTIFICATES)
        return shown(described(environ['km.target'], environ, self.links, now=self.house.clock()))


class Renewal(HouseResource):
    """``/v1/certificates/{certificate_id}/renew``"""

    @verb(answers={202: schemas.exactly({'order_ref': schemas.REF})}, fails=(409,))
    def post(self, certificate_id: str) -> Response:
        """Renew it now, behind the same container; 202 with the ``order_ref`` of who does."""
        environ = pecan.request.environ
        versions.require(environ, versions.CERTIFICATES)
        order_id = self.call(renewals.renew, environ['km.identity'], certificate_id=certificate_id)
        href = self.links.to(environ, 'orders', order_id)
        return accepted({'order_ref': href}, href)


class Revocation(HouseResource):
    """``/v1/certificates/{certificate_id}/revoke``"""

    @verb(takes=REVOCATION, answers={202: schemas.exactly({'revoked': {'type': 'boolean'}})},
          fails=(409,))
    def post(self, certificate_id: str) -> Response:
        """Revoke it; 202, and whether its authority has done so yet. Once accepted it will be."""
        environ = pecan.request.environ
        versions.require(environ, versions.CERTIFICATES)
        done = self.call(revocations.revoke, environ['km.identity'], certificate_id=certificate_id,
                         **revocation(body.read(pecan.request)))
        return _accepted(done, self.links.to(environ, 'certificates', certificate_id))


class RevocationOfOrder(HouseResource):
    """``/v1/orders/{order_id}/revoke``"""

    @verb(takes=REVOCATION, answers={202: schemas.exactly({'revoked': {'type': 'boolean'}})},
          fails=(409,))
    def post(self, order_id: str) -> Response:
        """Revoke the certificate that an order made; see ``/v1/certificates``."""
        environ = pecan.request.environ
        versions.require(environ, versions.CERTIFICATES)
        done = self.call(revocations.revoke_of_order, environ['km.identity'], order_id=order_id,
                         **revocation(body.read(pecan.request)))
        return _accepted(done, self.links.to(environ, 'orders', order_id))


def revocation(told: dict[str, Any]) -> dict[str, Any]:
    """The reason and the date that a body has.

    :raises Invalid: it has not that form.
    """
    _require_revocation(told)
    date = told.get('invalidity_date')
    try:
        when = schemas.time(date) if date else None
    except ValueError:
        raise schemas.unfit('Revocation', 'is not a valid ISO 8601 date', 'invalidity_date') from None
    return {'reason': told.get('reason') or 'unspecified', 'invalidity_date': when}


def described(row: Row, environ: dict[str, Any], links: Links, *, now: datetime) -> dict[str, Any]:
    """A certificate as clients see it."""
    told = {
        'certificate_id': row.id,
        'created': row.created.isoformat(), 'updated': row.updated.isoformat(),
        'status': status(row, now=now), 'version': row.version, 'is_current': bool(row.is_current),
        'serial': row.serial, 'subject': row.subject, 'issuer': row.issuer,
        'names': json.loads(row.names), 'sha256_fingerprint': row.fingerprint,
        'not_before': row.not_before.isoformat(), 'not_after': row.not_after.isoformat(),
        'days_left': max((row.not_after - now).days, 0), 'profile': row.profile,
        'renew_at': row.renew_at and row.renew_at.isoformat(),
        'renewal_failures': row.renewal_failures,
        'revoked': row.revoked and row.revoked.isoformat(),
        'revocation_reason': row.revocation_reason,
        'ca_ref': links.to(environ, 'cas', row.authority_id),
        'order_ref': links.to(environ, 'orders', row.order_id),
        'container_ref': links.to(environ, 'containers', row.container_id),
        'certificate_ref': links.to(environ, 'certificates', row.id),
        'secret_refs': {name: links.to(environ, 'secrets', getattr(row, column))
                        for name, column in _SECRETS.items() if getattr(row, column)},
    }
    if row.renewal:
        told['renewal_order_ref'] = links.to(environ, 'orders', row.renewal)
    return told


def status(row: Any, *, now: datetime) -> str:
    """How a certificate stands, in a word."""
    if row.revocation_asked:
        if row.revoke_at:
            return REVOKING
        return ON_HOLD if row.revocation_reason == revocations.HOLD else REVOKED
    return ENDED if row.not_after <= now else ISSUED


def _filters(asked: dict[str, str]) -> list[Filter]:
    found = []
    if 'container_id' in asked:
        found.append(Filter('container_id', 'eq', asked['container_id']))
    if 'expires_before' in asked:
        try:
            found.append(Filter('not_after', 'lt', schemas.time(asked['expires_before'])))
        except ValueError:
            raise query.bad() from None
    return found


def _accepted(done: bool, location: str) -> Response:
    response = shown({'revoked': done}, 202)
    response.headers['Location'] = location
    return response
