# SPDX-License-Identifier: Apache-2.0
"""What it means that a statement failed, and work that is done anew because of it."""
import functools
import logging
import random
import time
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from km.errors import Unavailable

LOG = logging.getLogger(__name__)

_Arguments = ParamSpec('_Arguments')
_Answer = TypeVar('_Answer')

#: How databases say that they gave a transaction up for the sake of another: deadlocks, conflicts
#: and locks waited for in vain, of PostgreSQL (SQLSTATE), MariaDB and SQLite (with its extended codes).
#: 1305 is the savepoint that is gone because the transaction it was in was given up.
_GIVEN_UP = {'40001', '40P01', 1205, 1213, 1305, 5, 6, 261, 262, 517}

#: How long work is begun anew, and the longest pause after the first failure, which then doubles.
_PATIENCE_SECONDS, _PAUSE_SECONDS = 2.0, 0.01


class Undone(Unavailable):
    """The database did nothing of what it was asked; asked again at once, it may well do it."""


def retried(work: Callable[_Arguments, _Answer]) -> Callable[_Arguments, _Answer]:
    """Make ``work`` begin anew when the database undid it: for two seconds, then it fails.

    ``work`` is one transaction, or reads: it must leave no trace that the database does not undo.
    """
    @functools.wraps(work)
    def patient(*args: _Arguments.args, **values: _Arguments.kwargs) -> _Answer:
        pause, deadline = _PAUSE_SECONDS, time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return work(*args, **values)
            except Undone:
                if time.monotonic() + pause > deadline:
                    raise
            time.sleep(random.uniform(0, pause))  # noqa: S311  nobody gains by guessing it
            pause *= 2

    return patient


def all_or_none(connection: sa.Connection, statements: Iterable[sa.Executable]) -> bool:
    """Run statements; False, and none of them, if somebody else did the like meanwhile.

    Needs a transaction.
    """
    try:
        with connection.begin_nested():
            for statement in statements:
                connection.execute(statement)
    except IntegrityError:
        return False
    return True


def explain(context: ExceptionContext) -> None:
    """An event of SQLAlchemy: in the place of a driver's error, raise what it means to km.

    What is left alone is a bug: a table that is not there, a value that does not fit. An
    ``IntegrityError`` is for the caller, who may have expected it.

    :raises Undone: nothing was done.
    :raises Unavailable: the database does not answer; what it was asked may or may not be done.
    """
    failure, cause = context.sqlalchemy_exception, context.original_exception
    if not isinstance(failure, DBAPIError) or isinstance(failure, IntegrityError):
        return
    if not _GIVEN_UP.isdisjoint(_codes(cause)):
        raise Undone('The metadata database is busy with the same.') from None
    if not (context.is_disconnect or isinstance(failure, OperationalError)):
        return
    LOG.warning('The metadata database failed: %s', cause)
    if context.is_disconnect and _nothing_done(context):
        raise Undone('The metadata database does not answer.') from None
    raise Unavailable('The metadata database does not answer.') from None


def _codes(error: BaseException) -> set[object]:
    """What its driver calls an error: an SQLSTATE, a number, or both."""
    names = getattr(error, 'sqlstate', None), getattr(error, 'sqlite_errorcode', None)
    return {*names, *error.args[:1]}


def _nothing_done(context: ExceptionContext) -> bool:
    """Whether a connection was lost while it had changed nothing, and was not about to.

    That is in a transaction before its commit, or by a statement that only reads.
    """
    if context.connection is None or context.statement is None:
        return False
    return 'isolation_level' in context.connection.get_execution_options() or (
        context.statement.startswith('SELECT'))
