# SPDX-License-Identifier: Apache-2.0
"""A task and its answer as bytes (MessagePack), and back."""
from datetime import datetime
from typing import Any

import msgpack

from km import errors
from km.identity import Identity

_TIME = 1


def pack_task(task: str, identity: Identity, arguments: dict[str, Any]) -> bytes:
    """A task to carry.

    :param identity: with its tokens, if it has any: whoever asks Keystone again needs nothing else.
    :param arguments: None, booleans, integers, text, bytes, times without zone, lists, dicts.
    :raises TypeError: something else is among them.
    """
    who = (identity.user_id, identity.project_id, identity.roles, identity.request_id,
           identity.token, identity.service_token)
    return msgpack.packb([task, who, arguments], default=_extend)


def unpack_task(message: bytes) -> tuple[str, Identity, dict[str, Any]]:
    """The task again."""
    task, who, arguments = msgpack.unpackb(message, ext_hook=_retract, use_list=True)
    return task, _identity(*who), arguments


def pack_answer(answer: Any) -> bytes:
    """What a task returned."""
    return msgpack.packb([None, answer], default=_extend)


def pack_error(error: errors.KmError) -> bytes:
    """What a task raised: its kind and its sentence, nothing else of it."""
    return msgpack.packb([errors.kind_of(error), error.sentence])


def unpack_answer(message: bytes) -> Any:
    """What the task returned.

    :raises KmError: what the task raised, as itself.
    """
    kind, answer = msgpack.unpackb(message, ext_hook=_retract)
    if kind is None:
        return answer
    raise errors.of_kind(kind, answer)


def _identity(user_id, project_id, roles, request_id, token, service_token) -> Identity:
    return Identity(
        user_id=user_id, project_id=project_id, roles=tuple(roles), request_id=request_id,
        token=token, service_token=service_token)


def _extend(value: Any) -> msgpack.ExtType:
    if isinstance(value, datetime):
        return msgpack.ExtType(_TIME, value.isoformat().encode())
    raise TypeError(f'{type(value).__name__} does not travel')


def _retract(code: int, data: bytes) -> datetime:
    if code != _TIME:
        raise ValueError('unknown extension type')
    return datetime.fromisoformat(data.decode())
