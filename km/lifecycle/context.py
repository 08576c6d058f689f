# SPDX-License-Identifier: Apache-2.0
"""What a task of the worker is given to work with."""
import functools
import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, cast

from oslo_config import cfg
from sqlalchemy import Connection

from km.errors import Invalid
from km.hosting.authority import HostedAuthority
from km.hosting.notifier import HostedNotifier
from km.hosting.store import HostedStore
from km.identity import Identity


class Task(Protocol):
    """A function the worker runs when asked for it by name."""

    task: str
    actions: tuple[str, ...]
    reread: tuple[str, ...]

    def __call__(self, ctx: 'Context', **values: Any) -> Any: ...


#: Who asks when km itself tidies up.
NOBODY = Identity(user_id=None, project_id='')


def require_project(project_id: str) -> None:
    """:raises Invalid: that is no project's id, but what km's own transport keys are kept under."""
    if project_id == NOBODY.project_id:
        raise Invalid('The id of the project is empty.')


#: Stands for the actions of a task that anybody may call: it tells no secret and changes nothing.
ANYBODY = 'anybody'

#: Every task by the name that travels: 'secrets.create' is km.lifecycle.secrets.create.
TASKS: dict[str, Task] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The world of one task.

    :param stores: open secret stores by the operator's names.
    :param default_store: the one that new secrets go to.
    :param authorities: open plugins of certificate authorities by the operator's names.
    :param statement: opens a connection that commits each statement by itself.
    :param transaction: opens a connection that commits at the end, or not at all.
    :param intent_timeout: how long work on a store may take before its process counts as dead.
    :param quotas: what a project may have of each thing where nothing else was said; -1 is no limit.
    :param orders: the ``[orders]`` section.
    :param certificates: the ``[certificates]`` section.
    :param transport_keys: the ``[transport_keys]`` section.
    :param cast: has a task run at some time, maybe elsewhere; only ever called after commit.
    :param notifiers: open notifiers by the operator's names.
    :param events: the ``[events]`` section.
    :param may: whether somebody is allowed an action on a target, as the ACL decides.
    :param remind: has this process look for what is due again at that time; the sweep does so anyway,
        later perhaps.
    :param clock: tells the time, UTC without a zone.
    :param identity: who asked; nobody when km itself tidies up.
    """

    stores: dict[str, HostedStore]
    default_store: str
    statement: Callable[[], AbstractContextManager[Connection]]
    transaction: Callable[[], AbstractContextManager[Connection]]
    intent_timeout: timedelta
    quotas: Mapping[str, int]
    orders: cfg.ConfigOpts.GroupAttr
    certificates: cfg.ConfigOpts.GroupAttr
    events: cfg.ConfigOpts.GroupAttr
    transport_keys: cfg.ConfigOpts.GroupAttr
    cast: Callable[..., None]
    clock: Callable[[], datetime]
    authorities: Mapping[str, HostedAuthority] = field(default_factory=dict)
    notifiers: Mapping[str, HostedNotifier] = field(default_factory=dict)
    may: Callable[[Identity, str, Mapping[str, object]], bool] = lambda *_: False
    remind: Callable[[datetime], None] = lambda _at: None
    identity: Identity = NOBODY


def task(*actions: str, reread: tuple[str, ...] = ()) -> Callable[[Callable[..., Any]], Task]:
    """Let the worker run ``function(context, **values)`` when asked for it by name.

    Values and answer must be what an envelope carries: None, booleans, numbers, text, bytes, times,
    and lists and dicts of them. The thing it is about is named ``secret_id``, ``container_id`` or
    ``order_id``, or ``kind`` and ``object_id``.

    :param actions: the actions of the ACL of which whoever calls it must be allowed one; a worker
        that is called over a wire decides that again. ``{kind}`` in them is the value of that name.
        A task without any is km's own: nobody can call it over a wire, only cast it. What has
        ``ANYBODY`` for its only one can be called without a token.
    :param reread: values that the API took from the row of the thing; a worker that is called over
        a wire does not believe them, and takes them from the row itself.
    """
    def named(function: Callable[..., Any]) -> Task:
        made = cast(Task, function)
        made.task = f'{function.__module__.rpartition(".")[2]}.{function.__name__}'
        made.actions, made.reread = actions, reread
        TASKS[made.task] = made
        return made

    return named


#: A random name for a piece of work, which nobody else can guess or repeat.
new_intent = functools.partial(secrets.token_hex, 16)
