# SPDX-License-Identifier: Apache-2.0
"""The commands. Each says in one line what is wrong, and exits with 1, when the operator can mend it."""
import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection

from km import errors
from km.errors import KmError


def run(command: Callable[[], int | None]) -> int:
    """The exit status of a command; a failure km has a sentence for is that sentence, and 1."""
    os.umask(0o027)  # databases and logs are for km's user, and its group to read
    try:
        return command() or 0
    except KmError as error:
        print(f'km: {error.sentence}', file=sys.stderr)
        return 1


def tried_apart(work: Callable[[], None]) -> None:
    """Try whether ``work`` can be done, in a process that ends with it.

    A library that was once loaded, such as that of an HSM, can leave behind what no fork may inherit.

    :raises KmError: it cannot.
    """
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context('fork').Process(target=_try, args=(work, theirs))
    process.start()
    theirs.close()
    try:
        failure = ours.recv()
    except EOFError:
        process.join()
        sys.exit(process.exitcode or 1)  # it said by itself why
    process.join()
    if failure:
        raise errors.of_kind(*failure)


def _try(work: Callable[[], None], told: Connection) -> None:
    try:
        work()
        told.send(None)
    except KmError as error:
        told.send((errors.kind_of(error), error.sentence))
