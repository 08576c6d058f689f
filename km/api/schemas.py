# SPDX-License-Identifier: Apache-2.0
"""The shapes of request bodies, as JSON Schema (draft 7), and what is true of their fields besides.

Errors name the field and the rule, never the value: it may be a payload.
"""
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import fastjsonschema

from km.errors import Conflict, Invalid

_SHORT = {'type': 'string', 'maxLength': 255}
_SHORT_OR_NULL = {'type': ['string', 'null'], 'maxLength': 255}

SECRET = {
    'type': 'object',
    'properties': {
        'name': _SHORT_OR_NULL,
        'algorithm': _SHORT,
        'mode': _SHORT,
        'bit_length': {'type': 'integer', 'minimum': 1, 'maximum': 32767},
        'expiration': _SHORT,
        'secret_type': {'enum': ['symmetric', 'public', 'private', 'passphrase', 'certificate',
                                 'opaque']},
        'payload': {'type': 'string', 'minLength': 1},
        'payload_content_type': _SHORT_OR_NULL,
        'payload_content_encoding': {'enum': ['base64']},
        'transport_key_needed': {'enum': ['true', 'false']},
        'transport_key_id': {'type': 'string'},
        'transport_key_ref': {'type': 'string'},
    },
}
ACL = {
    'type': 'object',
    'properties': {
        'read': {
            'type': 'object',
            'properties': {
                'users': {'type': 'array', 'items': {**_SHORT, 'minLength': 1}},
                'project-access': {'type': 'boolean'},
            },
            'additionalProperties': False,
        },
    },
    'additionalProperties': False,
}
SECRET_METADATA = {
    'type': 'object',
    'properties': {'metadata': {'type': 'object'}},
    'required': ['metadata'],
    'additionalProperties': False,
}
SECRET_METADATUM = {
    'type': 'object',
    'properties': {'key': {**_SHORT, 'minLength': 1}, 'value': _SHORT},
    'required': ['key', 'value'],
    'additionalProperties': False,
}

_METADATA_KEY = re.compile(r'[A-Za-z0-9_-]{1,255}\Z')
_MAX_METADATA_VALUE = 255


def _validator(title: str, schema: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    valid = fastjsonschema.compile(schema)

    def require(body: dict[str, Any]) -> None:
        try:
            valid(body)
        except fastjsonschema.JsonSchemaValueException as error:
            raise unfit(title, error.message.partition(' ')[2],
                        '.'.join(map(str, error.path[1:]))) from None

    return require


def unfit(title: str, reason: str, field: str) -> Invalid:
    """A body that does not have its shape, in the words clients know."""
    return Invalid(f"Provided object does not match schema '{title}': {field or 'it'} {reason}. "
                   f"Invalid property: '{field}'")


_require_secret = _validator('Secret', SECRET)
_require_acl = _validator('ACL', ACL)
_require_metadata = _validator('SecretMetadata', SECRET_METADATA)
_require_metadatum = _validator('SecretMetadatum', SECRET_METADATUM)


def new_secret(body: dict[str, Any], *, now: datetime) -> dict[str, Any]:
    """What a body says of a new secret, its payload aside, as ``lifecycle.secrets.create`` takes it.

    :raises Invalid: it does not have the shape, or its fields do not go together.
    """
    _require_secret(body)
    if body.get('payload') is None and body.get('payload_content_type') is not None:
        raise unfit('Secret', 'must not be given without payload', 'payload_content_type')
    if body.get('transport_key_needed') == 'true' or ('payload' in body and (
            'transport_key_id' in body or 'transport_key_ref' in body)):
        raise Invalid('Transport keys are not supported by this service.')
    bit_length = body.get('bit_length')
    return {
        'name': body.get('name'), 'algorithm': body.get('algorithm'), 'mode': body.get('mode'),
        'bit_length': None if bit_length is None else int(bit_length),
        'secret_type': body.get('secret_type', 'opaque'),
        'expiration': _expiration(body.get('expiration'), now),
    }


def acl(body: dict[str, Any]) -> dict[str, Any]:
    """What a body says of an ACL: its ``read`` part, or nothing."""
    _require_acl(body)
    return body.get('read', {})


def metadata(body: dict[str, Any]) -> dict[str, str]:
    """All user metadata of a secret, with keys in lower case.

    :raises Invalid: a key is not URL safe, or a value is no short string.
    """
    _require_metadata(body)
    pairs = body['metadata']
    if not all(isinstance(value, str) for value in pairs.values()):
        raise Invalid('Invalid Metadata. Keys and Values must be Strings.')
    if any(len(value) > _MAX_METADATA_VALUE for value in pairs.values()):
        raise unfit('SecretMetadata', 'must be shorter than or equal to 255 characters', 'metadata')
    lowered = {metadata_key(key): value for key, value in pairs.items()}
    if len(lowered) != len(pairs):
        raise Invalid('Invalid Metadata. Keys must differ in more than case.')
    return lowered


def metadatum(body: dict[str, Any], *, key: str | None = None) -> tuple[str, str]:
    """One key and its value.

    :param key: the key in the path, which must be the same.
    :raises Conflict: it is another.
    """
    _require_metadatum(body)
    named = metadata_key(body['key'])
    if key is not None and named != key.lower():
        raise Conflict('Key in the request does not match key in the request url.')
    return named, body['value']


def metadata_key(key: str) -> str:
    """A key as km keeps it.

    :raises Invalid: it is not URL safe.
    """
    if not _METADATA_KEY.match(key):
        raise Invalid('Invalid Key. Key must be URL safe.')
    return key.lower()


def time(text: str) -> datetime:
    """An ISO 8601 time, as UTC without a zone; without an offset it is taken for UTC.

    :raises ValueError: it is none, or is out of the range of years 1 to 9999.
    """
    parsed = datetime.fromisoformat(text)
    try:
        return parsed.astimezone(UTC).replace(tzinfo=None) if parsed.tzinfo else parsed
    except OverflowError:
        raise ValueError('out of range') from None


def _expiration(text: str | None, now: datetime) -> datetime | None:
    if not text:
        return None
    try:
        expiration = time(text)
    except ValueError:
        raise unfit('Secret', 'is not a valid ISO 8601 date', 'expiration') from None
    if expiration <= now:
        raise unfit('Secret', 'is before the current time', 'expiration')
    return expiration
