# SPDX-License-Identifier: Apache-2.0
"""The commands. Each says in one line what is wrong, and exits with 1, when the operator can mend it."""
import os
import sys
from collections.abc import Callable

from km.errors import KmError


def run(command: Callable[[], int | None]) -> int:
    """The exit status of a command; a failure km has a sentence for is that sentence, and 1."""
    os.umask(0o027)  # databases and logs are for km's user, and its group to read
    try:
        return command() or 0
    except KmError as error:
        print(f'km: {error.sentence}', file=sys.stderr)
        return 1
