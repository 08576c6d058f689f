# SPDX-License-Identifier: Apache-2.0
"""What the shapes of request bodies are made of; each stands beside the resource that takes it.

Shapes are JSON Schema (draft 7). Errors name the field and the rule, never the value: it may be a
payload.
"""
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import fastjsonschema

from km.errors import Invalid

SHORT = {'type': 'string', 'maxLength': 255}
SHORT_OR_NULL = {'type': ['string', 'null'], 'maxLength': 255}
#: Of a secret, or of a key to be made.
BIT_LENGTH = {'type': 'integer', 'minimum': 1, 'maximum': 32767}


def validator(title: str, schema: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """A function that raises Invalid for a body which does not have a shape.

    :param title: what clients know the shape by.
    """
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
