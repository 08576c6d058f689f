# SPDX-License-Identifier: Apache-2.0
"""What the shapes of request bodies are made of; each stands beside the resource that takes it.

Shapes are JSON Schema, in words that draft 7 and 2020-12 have both: requests are validated with
them, and ``km.api.openapi`` publishes the very same objects. Errors name the field and the rule, never
the value: it may be a payload.
"""
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import fastjsonschema

from km.errors import Invalid

Schema = dict[str, Any]


class ByType(Schema):
    """What is not JSON, or not JSON alone: schemas by media type."""


class ByKind(Schema):
    """What is one thing of secrets and another of containers: schemas by kind."""


#: Every named shape, by the name that clients know it by.
NAMED: dict[str, Schema] = {}

SHORT = {'type': 'string', 'maxLength': 255}
SHORT_OR_NULL = {'type': ['string', 'null'], 'maxLength': 255}
#: Outer white space does not count, here and wherever else a request has text. To Python these are
#: white space too, to others not.
TEXT = {**SHORT, 'minLength': 1, 'pattern': r'[^\s\x1c-\x1f\x85]'}
#: ISO 8601, and yet to come; empty for none.
EXPIRATION = {**SHORT, 'format': 'expiration'}
#: Of a secret, or of a key to be made.
BIT_LENGTH = {'type': 'integer', 'minimum': 1, 'maximum': 32767}


#: What answers are made of. A time is UTC and has no zone.
TIME = {'type': 'string', 'pattern': r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?$'}
STRING = {'type': 'string'}
STRING_OR_NULL = {'type': ['string', 'null']}
INTEGER = {'type': 'integer'}
INTEGER_OR_NULL = {'type': ['integer', 'null']}
REF = {'type': 'string', 'format': 'uri', 'description': 'An absolute URL, whose last piece is the id.'}


def named(title: str, schema: Schema) -> Schema:
    """A shape, after noting the name that clients know it by."""
    NAMED[title] = schema
    return schema


def exactly(required: Schema, optional: Schema | None = None) -> Schema:
    """An object with these properties and no further one."""
    return {'type': 'object', 'properties': {**required, **(optional or {})},
            'required': list(required), 'additionalProperties': False}


def page(collection: str, element: Schema) -> Schema:
    """One page of a list."""
    return exactly({collection: {'type': 'array', 'items': element},
                    'total': {'type': 'integer', 'minimum': 0}}, {'next': REF, 'previous': REF})


def validator(title: str, schema: Schema) -> Callable[[dict[str, Any]], None]:
    """A function that raises Invalid for a body which does not have a shape.

    :param title: what clients know the shape by.
    """
    valid = fastjsonschema.compile(named(title, schema), use_formats=False)

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


def time(text: str) -> datetime:
    """An ISO 8601 time, as UTC without a zone; without an offset it is taken for UTC.

    :raises ValueError: it is none, or is out of the range of years 1 to 9999.
    """
    parsed = datetime.fromisoformat(text)
    try:
        return parsed.astimezone(UTC).replace(tzinfo=None) if parsed.tzinfo else parsed
    except OverflowError:
        raise ValueError('out of range') from None


def expiration(title: str, text: str | None, *, now: datetime) -> datetime | None:
    """The expiration that a body gives; None for none, which an empty text is too.

    :param title: of the shape it is in.
    :raises Invalid: it is no time, or is past.
    """
    if not text:
        return None
    try:
        wanted = time(text)
    except ValueError:
        raise unfit(title, 'is not a valid ISO 8601 date', 'expiration') from None
    if wanted <= now:
        raise unfit(title, 'is before the current time', 'expiration')
    return wanted
