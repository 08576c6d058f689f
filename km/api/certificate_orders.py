# SPDX-License-Identifier: Apache-2.0
"""What an order of a certificate says, and how one is shown: the meta of ``/v1/orders`` for them."""
import base64
import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from km.api import schemas
from km.api.resource import Links
from km.certificates import cmc, requests
from km.errors import Invalid
from km.lifecycle import jobs

SIMPLE, FULL, STORED, NEW, CUSTOM = 'simple-cmc', 'full-cmc', 'stored-key', 'new-key', 'custom'
_TYPES = (SIMPLE, FULL, STORED, NEW, CUSTOM)
_LONGEST_META = 4096
_TEXT_OR_NULL = {'type': ['string', 'null']}
META = {
    'type': 'object',
    'properties': {
        'request_type': schemas.SHORT_OR_NULL,
        'ca_id': schemas.SHORT_OR_NULL,
        'profile': schemas.SHORT_OR_NULL,
        'name': schemas.SHORT_OR_NULL,
        'requestor_name': schemas.SHORT_OR_NULL,
        'requestor_email': schemas.SHORT_OR_NULL,
        'requestor_phone': schemas.SHORT_OR_NULL,
        'request_data': _TEXT_OR_NULL,
        'container_ref': schemas.SHORT_OR_NULL,
        'source_container_ref': schemas.SHORT_OR_NULL,
        'subject_dn': {'type': ['string', 'null'], 'maxLength': 1024},
        'subject_alt_names': {'type': ['array', 'null'], 'maxItems': 100, 'items': schemas.SHORT},
        'algorithm': schemas.SHORT_OR_NULL,
        'bit_length': {**schemas.BIT_LENGTH, 'type': ['integer', 'null']},
        'not_after': {**schemas.SHORT_OR_NULL, 'format': 'expiration'},
        'renewal': {
            'type': ['object', 'null'],
            'properties': {'percent': {'type': 'integer', 'minimum': 1, 'maximum': 99},
                           'new_key': {'type': 'boolean'}},
            'additionalProperties': False},
    },
}
CERTIFICATE_ORDER = {
    'type': 'object',
    'properties': {'type': {'const': jobs.CERTIFICATE}, 'meta': META},
    'required': ['type', 'meta'],
}
require = schemas.validator('Certificate Order', CERTIFICATE_ORDER)
#: What an order is shown with. More is what a custom one said of its own.
SHOWN_META = {'type': 'object', 'properties': {'request_type': schemas.STRING}}

_SHOWN = ('name', 'profile', 'ca_id', 'subject_dn', 'subject_alt_names', 'algorithm', 'bit_length',
          'not_after', 'renewal', 'renews', 'requestor_name', 'requestor_email', 'requestor_phone')
_CONTAINER_REF = re.compile(r'(?:https?://[^\s/?#]+(?:/[^\s?#]*)?/v1/containers/)?'
                            r'([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\Z')


def checked(told: dict[str, Any], *, now: datetime) -> dict[str, Any]:
    """What ``certificate_orders.place`` takes, from the meta of an order.

    :raises Invalid: the fields do not go together, or one is not what it must be.
    """
    meta = {name: _plain(value) for name, value in told.items() if value is not None}
    request_type = meta.get('request_type') or CUSTOM
    if request_type not in _TYPES:
        raise Invalid('Invalid Certificate Request Type')
    if 'payload' in meta:
        raise schemas.unfit('Order', 'must not be given in an order', 'meta.payload')
    if meta.get('profile') and not meta.get('ca_id'):
        raise _missing('ca_id')
    _REQUIRED[request_type](meta)
    not_after = schemas.expiration('Order', meta.get('not_after'), now=now)
    renewal = meta.get('renewal')
    kept = _kept(meta, request_type, not_after)
    if len(json.dumps(kept, ensure_ascii=False)) > _LONGEST_META:
        raise schemas.unfit('Order', f'must not be longer than {_LONGEST_META} characters', 'meta')
    return {
        'meta': kept, 'request_type': request_type, 'csr': _request(meta, request_type),
        'container': kept.get('container'), 'ca_id': _ca_id(meta), 'profile': meta.get('profile'),
        'not_after': not_after,
        'renews': renewal is not None, 'renew_percent': (renewal or {}).get('percent'),
        'renew_key': (renewal or {}).get('new_key', True)}


def shown(meta: dict[str, Any], csr: str | None, environ: dict[str, Any],
          links: Links) -> dict[str, Any]:
    """The meta of an order as clients see it: what they said of it, and what they asked for.

    :param csr: the request, PEM, if there is one.
    """
    told = {**meta.get('details', {}), 'request_type': meta['request_type'],
            **{name: meta[name] for name in _SHOWN if meta.get(name) is not None}}
    if meta.get('container'):
        told['container_ref'] = links.to(environ, 'containers', meta['container'])
    if csr and meta.get('has_request'):
        told['request_data'] = base64.b64encode(csr.encode()).decode()
    return told


def _plain(value: Any) -> Any:
    """A value with integers for what JSON lets clients write as 2048.0."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _kept(meta: dict[str, Any], request_type: str, not_after: datetime | None) -> dict[str, Any]:
    """What is kept of an order's meta; the request has a place of its own."""
    kept = {name: meta[name] for name in _SHOWN if name in meta and name != 'renews'}
    kept['request_type'] = request_type
    if not_after:
        kept['not_after'] = not_after.isoformat()
    if ref := _ref(meta):
        kept['container'] = _container_id(ref)
    if meta.get('request_data'):
        kept['has_request'] = True
    details = {name: value for name, value in meta.items() if name not in META['properties']}
    if request_type == CUSTOM and details:
        if not all(isinstance(value, str) for value in details.values()):
            raise schemas.unfit('Order', 'must have text for what the authority is to be told', 'meta')
        kept['details'] = details
    return kept


def _request(meta: dict[str, Any], request_type: str) -> bytes | None:
    """The request, PKCS#10, DER, if the client made it."""
    if not meta.get('request_data'):
        return None
    return (cmc.read_full if request_type == FULL else requests.read)(meta['request_data'])


def _ca_id(meta: dict[str, Any]) -> str | None:
    """The id of the authority, which clients may have as a link."""
    return meta['ca_id'].rpartition('/')[2] if meta.get('ca_id') else None


def _ref(meta: dict[str, Any]) -> str | None:
    return meta.get('container_ref') or meta.get('source_container_ref')


def _container_id(ref: str) -> str:
    if not (found := _CONTAINER_REF.match(ref)):
        raise Invalid(f'Invalid container: Bad Container Reference {ref}.')
    return found[1]


def _missing(name: str) -> Invalid:
    return Invalid(f'Missing required metadata field for {name}')


def _require_request(meta: dict[str, Any]) -> None:
    if not meta.get('request_data'):
        raise _missing('request_data')


def _require_stored(meta: dict[str, Any]) -> None:
    if meta.get('extensions'):
        raise Invalid('Extensions are not yet supported.  Specify a valid profile instead.')
    if not _ref(meta):
        raise _missing('container_ref')
    if not meta.get('subject_dn'):
        raise _missing('subject_dn')


def _require_names(meta: dict[str, Any]) -> None:
    if not (meta.get('subject_dn') or meta.get('subject_alt_names')):
        raise _missing('subject_dn')


def _require_either(meta: dict[str, Any]) -> None:
    if not meta.get('request_data'):
        _require_names(meta)


#: What each type of request must have, besides what its fields must be.
_REQUIRED: dict[str, Callable[[dict[str, Any]], None]] = {
    SIMPLE: _require_request, FULL: _require_request, STORED: _require_stored, NEW: _require_names,
    CUSTOM: _require_either}
