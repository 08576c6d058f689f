# SPDX-License-Identifier: Apache-2.0
"""Subordinate authorities when everything goes wrong: races, plugins that fail, kills at every step."""
import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest

from km.errors import Conflict, Forbidden, Invalid, NotFound, QuotaExceeded, Rejected, Unavailable
from km.hosting.deadlines import Overdue
from km.lifecycle import authorities, subordinates, upkeep
from tests.unit.lifecycle.authorities.conftest import CN, UNKNOWN, an_order_of, of, subordinate
from tests.unit.lifecycle.conftest import UNLIMITED, Killed, killed_at


@pytest.fixture
def root(ctx, ids):
    """The id of the authority that others can be under."""
    authorities.announce(ctx)
    return ids()['first', 'memory']


@pytest.fixture
def mine(rows):
    """The rows of subordinates by id."""
    return lambda: {row['id']: row for row in rows('authorities') if row['project_id']}


def swept(ctx, clock):
    """How many pieces of work a sweep ended, and how many it could not, once they count as abandoned."""
    clock.forward(minutes=11)
    done = upkeep.sweep(ctx)
    return done.ended, done.failed


def assert_nothing_left(first, mine):
    assert mine() == {}
    assert set(first.guest.memory.issuers) == {'memory'}


def assert_there(first, mine, ca_id):
    assert [(row['id'], row['status'], row['intent']) for row in mine().values()] == [
        (ca_id, 'ACTIVE', None)]
    assert set(first.guest.memory.issuers) == {'memory', ca_id}


def test_a_subordinate_is_made_under_its_parent_for_one_project(ctx, root, mine, first):
    ca_id = subordinates.create(ctx, name='mine', description='of alpha', subject=CN, parent_id=root)
    request = first.guest.made[ca_id]
    assert (request.project_id, request.parent, request.subject, request.name) == (
        'alpha', 'memory', CN, 'mine')
    row = mine()[ca_id]
    assert {name: row[name] for name in (
        'plugin_name', 'plugin_ca_id', 'name', 'description', 'parent_id', 'project_id', 'creator_id',
        'expiration')} == {
            'plugin_name': 'first', 'plugin_ca_id': ca_id, 'name': 'mine', 'description': 'of alpha',
            'parent_id': root, 'project_id': 'alpha', 'creator_id': 'ann',
            'expiration': '2030-01-02 12:00:00.123456'}
    assert 'BEGIN CERTIFICATE' in row['certificate']
    assert row['chain'].count('BEGIN CERTIFICATE') == 2
    assert_there(first, mine, ca_id)


def test_a_parent_must_be_there_and_able_and_ones_own(ctx, root, ids, mine):
    own = subordinate(ctx, root)
    assert subordinate(ctx, own) in mine()
    with pytest.raises(Forbidden, match=r'^Subordinate CA is not owned by this project$'):
        subordinate(of(ctx, 'beta'), own)
    with pytest.raises(Invalid, match='parent CA in the request is invalid'):
        subordinate(ctx, UNKNOWN)
    with pytest.raises(Invalid, match='can have no subordinate'):
        subordinate(ctx, ids()['second', 'memory'])
    assert len(mine()) == 2


def test_a_parent_that_is_not_enabled_gets_none(ctx, root, second, mine):
    authorities.add(ctx, ca_id=root)
    with pytest.raises(Unavailable):
        subordinate(dataclasses.replace(ctx, authorities={'second': second}), root)
    authorities.announce(dataclasses.replace(ctx, authorities={'second': second}))
    with pytest.raises(Invalid, match='not enabled'):
        subordinate(ctx, root)
    assert mine() == {}


def test_the_quota_counts_a_projects_own_and_holds_whoever_comes_at_once(ctx, root, mine):
    few = dataclasses.replace(ctx, quotas={**UNLIMITED, 'cas': 2})

    def perhaps(_):
        try:
            return subordinate(few, root)
        except QuotaExceeded:
            return None

    with ThreadPoolExecutor(6) as threads:
        made = list(filter(None, threads.map(perhaps, range(6))))
    assert len(made) == len(mine()) == 2
    assert subordinate(of(few, 'beta'), root)
    subordinates.delete(few, ca_id=made[0])
    assert subordinate(few, root)


@pytest.mark.parametrize('failure', [Rejected('Never.'), Unavailable('Down.'), ValueError()])
@pytest.mark.parametrize('when', ['before', 'after'])
def test_a_plugin_that_fails_leaves_nothing(ctx, root, mine, first, failure, when):
    first.guest.fail = {('make_subordinate', when): failure}
    with pytest.raises(type(failure)):
        subordinate(ctx, root)
    assert_nothing_left(first, mine)


def test_one_that_may_be_made_yet_is_left_to_the_sweep(ctx, root, mine, first, clock):
    first.guest.fail = {('make_subordinate', 'after'): Overdue('Slow.')}
    with pytest.raises(Overdue):
        subordinate(ctx, root)
    assert [row['status'] for row in mine().values()] == ['STORING']
    assert swept(ctx, clock) == (1, 0)
    assert_nothing_left(first, mine)


def test_a_plugin_that_gives_another_than_it_was_told_is_not_believed(ctx, root, mine, first, caplog):
    first.guest.make_subordinate = lambda request: authorities.Authority(name='memory')
    with pytest.raises(authorities.Unexpected):
        subordinate(ctx, root)
    assert_nothing_left(first, mine)
    assert 'gave a subordinate another name' in caplog.text


@pytest.mark.parametrize('step', [1, 2])
def test_killed_while_one_is_made_leaves_nothing_after_a_sweep(ctx, root, mine, first, clock, step):
    with pytest.raises(Killed):
        subordinate(killed_at(ctx, step), root)
    assert len(mine()) == step - 1
    assert swept(ctx, clock) == (step - 1, 0)
    assert_nothing_left(first, mine)


@pytest.mark.parametrize('when', ['before', 'after'])
def test_killed_inside_the_plugin_leaves_nothing_after_a_sweep(ctx, root, mine, first, clock, when):
    first.guest.fail = {('make_subordinate', when): Killed()}
    with pytest.raises(Killed):
        subordinate(ctx, root)
    first.guest.fail = {}
    assert swept(ctx, clock) == (1, 0)
    assert_nothing_left(first, mine)


def test_one_that_is_being_made_is_not_there_for_anybody(ctx, root, mine, first):
    first.guest.fail = {('make_subordinate', 'after'): Killed()}
    with pytest.raises(Killed):
        subordinate(ctx, root)
    ca_id, = mine()
    first.guest.fail = {}
    with pytest.raises(NotFound):
        subordinates.delete(ctx, ca_id=ca_id)
    with pytest.raises(NotFound):
        authorities.add(ctx, ca_id=ca_id)
    with pytest.raises(Invalid):
        subordinate(ctx, ca_id)
    with ctx.transaction() as connection, pytest.raises(Invalid):
        authorities.choose(ctx, connection, 'alpha', ca_id)


def test_who_is_slow_finds_that_a_sweep_was_there_and_leaves_nothing(ctx, root, mine, first, clock):
    make = first.guest.make_subordinate

    def slow(request):
        swept(ctx, clock)
        return make(request)

    first.guest.make_subordinate = slow
    with pytest.raises(Unavailable, match='too long'):
        subordinate(ctx, root)
    assert_nothing_left(first, mine)


def test_deleting_removes_it_from_the_plugin_and_from_the_projects_choice(ctx, root, mine, first, rows):
    ca_id = subordinate(ctx, root)
    authorities.add(ctx, ca_id=ca_id)
    subordinates.delete(ctx, ca_id=ca_id)
    assert_nothing_left(first, mine)
    assert rows('project_authorities') == []
    with pytest.raises(NotFound):
        subordinates.delete(ctx, ca_id=ca_id)


def test_only_a_subordinate_can_be_deleted(ctx, root, ids):
    with pytest.raises(Forbidden, match=r'^Only subordinate CAs can be deleted\.$'):
        subordinates.delete(ctx, ca_id=root)
    assert root in ids().values()


def test_what_something_hangs_on_is_not_deleted(ctx, root, mine, first, rows):
    upper = subordinate(ctx, root)
    lower = subordinate(ctx, upper)
    with pytest.raises(Conflict, match='under it'):
        subordinates.delete(ctx, ca_id=upper)
    authorities.add(ctx, ca_id=lower)
    authorities.add(ctx, ca_id=root)
    with pytest.raises(Conflict, match='preferred'):
        subordinates.delete(ctx, ca_id=lower)
    assert {row['status'] for row in mine().values()} == {'ACTIVE'}
    assert len(rows('project_authorities')) == 2
    authorities.prefer(ctx, ca_id=root)
    subordinates.delete(ctx, ca_id=lower)
    subordinates.delete(ctx, ca_id=upper)
    assert_nothing_left(first, mine)


@pytest.mark.parametrize(('status', 'refused'), [
    ('PENDING', True), ('ACTIVE', False), ('ERROR', False)])
def test_one_of_which_certificates_are_being_ordered_is_not_deleted(
        ctx, root, mine, database, clock, status, refused):
    ca_id = subordinate(ctx, root)
    an_order_of(database, ca_id, clock, status)
    if refused:
        with pytest.raises(Conflict, match='being ordered'):
            subordinates.delete(ctx, ca_id=ca_id)
    else:
        subordinates.delete(ctx, ca_id=ca_id)
    assert (ca_id in mine()) is refused


@pytest.mark.parametrize('when', ['before', 'after'])
def test_a_plugin_that_is_down_while_one_is_deleted_is_asked_again(ctx, root, mine, first, clock, when):
    ca_id = subordinate(ctx, root)
    first.guest.fail = {('remove_subordinate', when): Unavailable('Down.')}
    subordinates.delete(ctx, ca_id=ca_id)
    assert [row['status'] for row in mine().values()] == ['DELETING']
    with pytest.raises(NotFound):
        subordinates.delete(ctx, ca_id=ca_id)
    assert swept(ctx, clock) == (0, 1)
    first.guest.fail = {}
    assert swept(ctx, clock) == (1, 0)
    assert_nothing_left(first, mine)


@pytest.mark.parametrize('step', [1, 2])
def test_killed_while_one_is_deleted(ctx, root, mine, first, clock, step):
    ca_id = subordinate(ctx, root)
    with pytest.raises(Killed):
        subordinates.delete(killed_at(ctx, step), ca_id=ca_id)
    swept(ctx, clock)
    if step == 1:
        assert_there(first, mine, ca_id)
    else:
        assert_nothing_left(first, mine)


@pytest.mark.parametrize('when', ['before', 'after'])
def test_killed_inside_the_plugin_still_deletes(ctx, root, mine, first, clock, when):
    ca_id = subordinate(ctx, root)
    first.guest.fail = {('remove_subordinate', when): Killed()}
    with pytest.raises(Killed):
        subordinates.delete(ctx, ca_id=ca_id)
    first.guest.fail = {}
    assert swept(ctx, clock) == (1, 0)
    assert_nothing_left(first, mine)


def test_of_many_who_delete_one_a_single_one_does(ctx, root, mine, first):
    ca_id = subordinate(ctx, root)

    def perhaps(_):
        try:
            subordinates.delete(ctx, ca_id=ca_id)
        except NotFound:
            return 0
        return 1

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(perhaps, range(6))) == 1
    assert_nothing_left(first, mine)


def test_none_is_made_under_one_that_is_deleted_at_the_same_time(ctx, root, mine, first):
    for _ in range(5):
        upper = subordinate(ctx, root)
        with ThreadPoolExecutor(2) as threads:
            made = threads.submit(subordinate, ctx, upper)
            gone = threads.submit(subordinates.delete, ctx, ca_id=upper)
        if gone.exception() is None:
            assert isinstance(made.exception(), Invalid)
        else:
            assert isinstance(gone.exception(), Conflict)
            subordinates.delete(ctx, ca_id=made.result())
            subordinates.delete(ctx, ca_id=upper)
        assert_nothing_left(first, mine)


def test_a_project_that_is_forgotten_has_none_and_has_chosen_none(ctx, root, mine, first, rows):
    upper = subordinate(ctx, root)
    lower = subordinate(ctx, upper)
    others = subordinate(of(ctx, 'beta'), root)
    authorities.add(ctx, ca_id=lower)
    authorities.add(ctx, ca_id=root)
    authorities.add(of(ctx, 'beta'), ca_id=root)
    first.guest.fail = {('make_subordinate', 'after'): Killed()}
    with pytest.raises(Killed):
        subordinate(ctx, root)
    first.guest.fail = {}
    assert subordinates.forget(ctx, 'alpha') == 3
    assert_there(first, mine, others)
    assert [row['project_id'] for row in rows('project_authorities')] == ['beta']
    assert subordinates.forget(ctx, 'alpha') == 0
