# SPDX-License-Identifier: Apache-2.0
"""What is written on each KMIP object: whose it is, and how its payload is got from it.

================================  =================================================================
attribute (KMIP 1.4, section 3)   value
================================  =================================================================
Name                              ``km:<secret id>:<form>:<16 random hexadecimal digits>:<project
                                  id>``; each attempt has one of its own, as servers demand. What
                                  is not ASCII is percent-encoded (RFC 3986): pykmip knows no other
Object Group                      what the option ``object_group`` says
Application Specific Information  the namespace ``km``, and the secret id, by which it is found
================================  =================================================================

The server returns the name together with the object, so a secret whose row in the metadata was given
the reference, the project or the id of another one does not open.
"""
import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from kmip.core.enums import AttributeType, CryptographicAlgorithm, CryptographicUsageMask
from kmip.core.factories.attributes import AttributeFactory
from kmip.core.objects import Attribute

#: The attributes to ask for, to read a label.
TO_READ = [AttributeType.NAME.value]

_PREFIX = 'km'
_PARTS = 5
_ATTEMPT_BYTES = 8


class Label(NamedTuple):
    """What an object says of itself."""

    secret_id: str
    project_id: str
    form: str


def written(label: Label, group: str) -> list[Attribute]:
    """The attributes of a new object."""
    attempt = secrets.token_hex(_ATTEMPT_BYTES)
    return [
        _attribute(AttributeType.NAME, ':'.join(
            (_PREFIX, label.secret_id, label.form, attempt, quote(label.project_id)))),
        *of_secret(label.secret_id, group),
    ]


def read(attributes: Sequence[Attribute]) -> Label | None:
    """The label among these attributes; None if the object is none of km's."""
    for attribute in attributes:
        if attribute.attribute_name.value == AttributeType.NAME.value:
            parts = attribute.attribute_value.name_value.value.split(':', _PARTS - 1)
            if parts[0] == _PREFIX and len(parts) == _PARTS:
                _, secret_id, form, _, project_id = parts
                return Label(secret_id, unquote(project_id), form)
    return None


def of_group(group: str) -> list[Attribute]:
    """What to look for, to find all objects of a group."""
    return [_attribute(AttributeType.OBJECT_GROUP, group)]


def of_secret(secret_id: str, group: str) -> list[Attribute]:
    """What to look for, to find the objects of a secret."""
    return [*of_group(group), _attribute(AttributeType.APPLICATION_SPECIFIC_INFORMATION, {
        'application_namespace': _PREFIX, 'application_data': secret_id})]


def usage(masks: Sequence[CryptographicUsageMask]) -> list[Attribute]:
    """What an object may be used for; nothing if it is no cryptographic one."""
    return [_attribute(AttributeType.CRYPTOGRAPHIC_USAGE_MASK, list(masks))] if masks else []


def to_make(algorithm: CryptographicAlgorithm, bits: int) -> list[Attribute]:
    """What a key that the server makes shall be."""
    return [_attribute(AttributeType.CRYPTOGRAPHIC_ALGORITHM, algorithm),
            _attribute(AttributeType.CRYPTOGRAPHIC_LENGTH, bits)]


def _attribute(kind: AttributeType, value: Any) -> Attribute:
    return AttributeFactory().create_attribute(kind, value)
