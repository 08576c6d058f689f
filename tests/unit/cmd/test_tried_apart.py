# SPDX-License-Identifier: Apache-2.0
import os

import pytest

from km import errors
from km.cmd import tried_apart


class Sealed(errors.Rejected):
    """What a plugin may call its own kind of refusal."""


class Newer(errors.KmError):
    """Of no kind this km knows."""


@pytest.mark.parametrize(('told', 'heard'), [
    (errors.Misconfigured, errors.Misconfigured),
    (Sealed, errors.Rejected),
    (Newer, errors.Unexpected),
    (errors.KmError, errors.Unexpected)])
def test_what_failed_apart_is_told_here_by_its_kind(told, heard):
    def work():
        raise told('A sentence.')
    with pytest.raises(heard) as failure:
        tried_apart(work)
    assert type(failure.value) is heard
    assert failure.value.sentence == 'A sentence.'


def test_what_can_be_done_apart_leaves_nothing_here():
    done = []
    tried_apart(lambda: done.append(os.getpid()))
    assert done == []


def test_a_process_that_dies_apart_ends_this_one_with_its_status():
    with pytest.raises(SystemExit) as end:
        tried_apart(lambda: os._exit(3))
    assert end.value.code == 3
