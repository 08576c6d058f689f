# SPDX-License-Identifier: Apache-2.0
"""Sessions are few, kept while they work, and given up when they do not or the token has no room."""
import pytest
from pkcs11 import exceptions as ck

from km.interfaces import Unavailable
from km.plugins.secret_store.cryptoki.sessions import SessionPool

SOON = 0.05


class Session:
    """What is opened."""

    def __init__(self):
        self.closed = False

    def close(self):
        self.closed = True
        raise ck.SessionHandleInvalid


def used(pool, opened=Session):
    with pool.place(), pool.lease(opened) as lease:
        return lease.session


def test_one_that_worked_is_used_again():
    pool = SessionPool(2, SOON)
    assert used(pool) is used(pool)


def test_one_that_failed_is_closed_and_nobody_gets_it():
    pool = SessionPool(2, SOON)
    with pytest.raises(ck.DataInvalid), pool.place(), pool.lease(Session) as lease:
        raise ck.DataInvalid
    assert lease.session.closed
    assert used(pool) is not lease.session


def test_those_from_before_are_forgotten_even_if_they_were_out():
    pool = SessionPool(2, SOON)
    with pool.place(), pool.lease(Session) as lease:
        pool.forget(stale=False)
    assert lease.session.closed
    kept = used(pool)
    pool.forget(stale=False)
    assert kept.closed
    stale = used(pool)
    pool.forget(stale=True)
    assert not stale.closed, 'its number may be that of a session of somebody else'


def test_more_than_there_may_be_wait_and_are_told():
    pool = SessionPool(1, SOON)
    with pool.place(), pytest.raises(Unavailable, match='All 1 sessions'), pool.place():
        pass
    with pool.place():
        pass


def test_a_token_without_room_for_more_gives_the_ones_that_come_back():
    pool = SessionPool(2, SOON)

    def none():
        raise ck.SessionCount

    with pytest.raises(ck.SessionCount):
        used(pool, none)
    kept = used(pool)
    assert used(pool, none) is kept
