# SPDX-License-Identifier: Apache-2.0
"""What a task of the worker is given to work with."""
import functools
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, cast

from sqlalchemy import Connection

from km.identity import Identity
from km.interfaces import SecretStore


class Task(Protocol):
    """A function the worker runs when asked for it by name."""

    task: str

    def __call__(self, ctx: 'Context', **values: Any) -> Any: ...


#: Who asks when km itself tidies up.
NOBODY = Identity(user_id=None, project_id='')

#: Every task by the name that travels: 'secrets.create' is km.lifecycle.secrets.create.
TASKS: dict[str, Task] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The world of one task.

    :param stores: open secret stores by the operator's names.
    :param default_store: the one that new secrets go to.
    :param statement: opens a connection that commits each statement by itself.
    :param transaction: opens a connection that commits at the end, or not at all.
    :param intent_timeout: how long work on a store may take before its process counts as dead.
    :param clock: tells the time, UTC without a zone.
    :param identity: who asked; nobody when km itself tidies up.
    """

    stores: dict[str, SecretStore]
    default_store: str
    statement: Callable[[], AbstractContextManager[Connection]]
    transaction: Callable[[], AbstractContextManager[Connection]]
    intent_timeout: timedelta
    clock: Callable[[], datetime]
    identity: Identity = NOBODY


def task(function: Callable[..., Any]) -> Task:
    """Let the worker run ``function(context, **values)`` when asked for it by name.

    Values and answer must be what an envelope carries: None, booleans, numbers, text, bytes, times,
    and lists and dicts of them.
    """
    named = cast(Task, function)
    named.task = f'{function.__module__.rpartition(".")[2]}.{function.__name__}'
    TASKS[named.task] = named
    return named


#: A random name for a piece of work, which nobody else can guess or repeat.
new_intent = functools.partial(secrets.token_hex, 16)
