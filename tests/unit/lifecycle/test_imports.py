# SPDX-License-Identifier: Apache-2.0
"""Secrets that come from elsewhere: cut off at each step, compared, taken by a store or not."""
import dataclasses
import uuid
from datetime import datetime, timedelta

import pytest

from km.db import secrets as secret_rows
from km.db.models import SECRET
from km.errors import CannotOpen, NotFound, Rejected, Unavailable
from km.lifecycle import imports, reconcile, secrets, stores, upkeep
from km.lifecycle.imported_parts import Acl, Consumer
from km.lifecycle.imports import IMPORTED, LEFT, THERE, Outcome, Secret
from tests.unit.lifecycle.conftest import Killed, killed_at

THEN = datetime(2020, 2, 2, 2, 2, 2)
IDS = [str(uuid.UUID(int=number)) for number in range(1, 4)]
CONSUMER = Consumer(project_id='alpha', service='cinder', resource_type='volume', resource_id='1',
                    created=THEN, updated=THEN)
ACL = Acl(project_access=False, users=frozenset({'bob', 'cem'}), created=THEN, updated=THEN)


def a_secret(secret_id=IDS[0], **more):
    described = {
        'id': secret_id, 'project_id': 'alpha', 'creator_id': 'ann', 'name': 'old', 'mode': None,
        'secret_type': 'opaque', 'algorithm': None, 'bit_length': None, 'content_type': 'text/plain',
        'expiration': None, 'created': THEN, 'updated': THEN, 'payload': f'of {secret_id}'.encode(),
        'metadata': {}, 'acl': None, 'consumers': ()}
    return Secret(**{**described, **more})


PAGE = [a_secret(IDS[0], metadata={'a': 'b'}), a_secret(IDS[1], acl=ACL, consumers=[CONSUMER]),
        a_secret(IDS[2], payload=None, content_type=None, acl=ACL, metadata={'c': 'd'})]


def bring(ctx, *page, **more):
    return imports.bring_secrets(ctx, page, store=ctx.stores['memory'], **more)


def all_done(how):
    return [Outcome(secret.id, how) for secret in PAGE]


def assert_whole(ctx, rows, store):
    assert {row['id']: row['status'] for row in rows()} == dict.fromkeys(IDS, 'ACTIVE')
    assert {row['intent'] for row in rows()} == {None}
    assert store.payloads == {secret.id: secret.payload for secret in PAGE if secret.payload}
    assert sorted((row['secret_id'], row['key'], row['value']) for row in rows('secret_metadata')) == [
        (IDS[0], 'a', 'b'), (IDS[2], 'c', 'd')]
    assert sorted((row['object_id'], row['user_id']) for row in rows('acl_users')) == [
        (secret, user) for secret in IDS[1:] for user in ('bob', 'cem')]
    assert [(row['object_id'], row['service']) for row in rows('consumers')] == [(IDS[1], 'cinder')]
    assert list(reconcile.reconcile(ctx)) == []


def test_secrets_come_over_as_they_were_and_a_second_time_nothing_happens(ctx, rows, store):
    assert bring(ctx, *PAGE) == all_done(IMPORTED)
    assert_whole(ctx, rows, store)
    row = {row['id']: row for row in rows()}[IDS[1]]
    assert (row['project_access'], row['store'], row['creator_id']) == (0, 'memory', 'ann')
    assert {row[name] for name in ('created', 'updated', 'acl_created', 'acl_updated')} == {
        '2020-02-02 02:02:02.000000'}
    before = rows()
    assert bring(ctx, *PAGE) == all_done(THERE)
    assert rows() == before


def test_a_dry_run_says_what_would_come_and_writes_nothing(ctx, rows, store):
    assert bring(ctx, *PAGE, dry_run=True) == all_done(IMPORTED)
    assert rows() == []
    assert store.payloads == {}


def test_an_import_that_was_cut_off_anywhere_is_ended_by_the_next(ctx, rows, store, clock):
    for step in range(1, 50):
        try:
            bring(killed_at(ctx, step), *PAGE)
        except Killed:
            bring(ctx, *PAGE)
            assert_whole(ctx, rows, store)
            for secret in IDS:
                secrets.delete(ctx, secret_id=secret)
        else:
            break
    assert step > 3


@pytest.mark.parametrize('when', ['before', 'after'])
def test_a_process_that_dies_in_the_store_is_ended_by_the_next_import_or_by_the_sweep(
        ctx, rows, store, clock, when):
    store.fail = {('store', when): Killed()}
    with pytest.raises(Killed):
        bring(ctx, *PAGE)
    store.fail = {}
    bring(ctx, *PAGE)
    assert_whole(ctx, rows, store)
    store.fail = {('store', when): Killed()}
    other = a_secret(str(uuid.uuid4()))
    with pytest.raises(Killed):
        bring(ctx, other)
    store.fail = {}
    clock.forward(hours=1)
    assert upkeep.sweep(ctx).failed == 0
    assert_whole(ctx, rows, store)


def test_a_dry_run_leaves_what_was_cut_off(ctx, rows, store):
    store.fail = {('store', 'after'): Killed()}
    with pytest.raises(Killed):
        bring(ctx, PAGE[0])
    before = rows()
    assert bring(ctx, PAGE[0], dry_run=True) == [Outcome(IDS[0], IMPORTED)]
    assert rows() == before


def test_what_the_store_does_not_take_is_left_and_the_rest_comes(ctx, rows, store):
    take = store.store

    def choosy(request):
        if request.secret_id == IDS[0]:
            raise Rejected('Too long.')
        return take(request)

    store.store = choosy
    assert bring(ctx, *PAGE) == [
        Outcome(IDS[0], LEFT, 'the store says: Too long.'), *all_done(IMPORTED)[1:]]
    assert {row['id'] for row in rows()} == set(IDS[1:])


@pytest.mark.parametrize('answer', [b'another', NotFound('Gone.'), CannotOpen('Broken.')])
def test_a_payload_that_does_not_come_out_as_it_went_in_is_not_imported(ctx, rows, store, answer):
    def retrieve(_stored):
        if isinstance(answer, Exception):
            raise answer
        return answer

    store.retrieve = retrieve
    assert bring(ctx, PAGE[0]) == [
        Outcome(IDS[0], LEFT, 'the store says: What came out is not what went in.')]
    assert rows() == []
    assert store.payloads == {}


def test_a_store_that_does_not_answer_stops_the_import_which_goes_on_later(ctx, rows, store):
    store.fail = {('store', 'before'): Unavailable('Down.')}
    with pytest.raises(Unavailable):
        bring(ctx, *PAGE)
    store.fail = {}
    bring(ctx, *PAGE)
    assert_whole(ctx, rows, store)


def test_an_import_that_a_sweep_took_for_dead_leaves_nothing_of_its_own(ctx, rows, store, clock):
    keep = store.store

    def slow(request):
        reference = keep(request)
        clock.forward(hours=1)
        upkeep.sweep(ctx)
        return reference

    store.store = slow
    answer, store.retrieve = store.retrieve, lambda stored: PAGE[0].payload
    assert bring(ctx, PAGE[0]) == [Outcome(IDS[0], LEFT, 'it took too long to store')]
    store.store, store.retrieve = keep, answer
    assert rows() == []
    assert store.payloads == {}
    assert bring(ctx, PAGE[0]) == [Outcome(IDS[0], IMPORTED)]


@pytest.mark.parametrize(('changes', 'said'), [
    ({'payload': b'another'}, 'payload'),
    ({'payload': None}, 'payload'),
    ({'project_id': 'beta'}, 'project id, payload'),
    ({'name': 'new', 'expiration': THEN + timedelta(days=9999)}, 'name, expiration'),
    ({'metadata': {'a': 'c'}}, 'user metadata'),
    ({'acl': ACL}, 'ACL'),
    ({'consumers': [CONSUMER]}, 'consumers'),
])
def test_what_is_there_but_not_the_same_is_told_and_left_as_it_is(ctx, rows, changes, said):
    bring(ctx, PAGE[0])
    before = rows()
    changed = dataclasses.replace(PAGE[0], **changes)
    assert bring(ctx, changed) == [Outcome(IDS[0], LEFT, f'it is in km with another {said}')]
    assert rows() == before


def test_a_payload_that_km_lost_is_told(ctx, store):
    bring(ctx, PAGE[0])
    stores.destroy(store, IDS[0], 'alpha')
    assert bring(ctx, PAGE[0]) == [Outcome(IDS[0], LEFT, 'it is in km with another payload')]


def test_what_is_being_deleted_is_not_brought_back(ctx):
    bring(ctx, PAGE[0])
    with ctx.statement() as connection:
        secret_rows.mark_deleting(connection, IDS[0], intent='x', now=ctx.clock())
    assert bring(ctx, PAGE[0]) == [Outcome(IDS[0], LEFT, 'it is just being deleted in km')]
    assert imports.still_there(ctx, SECRET, [IDS[0]]) == []


def test_what_was_deleted_elsewhere_and_is_still_here_is_told(ctx):
    bring(ctx, PAGE[0])
    left, = imports.still_there(ctx, SECRET, IDS)
    assert (left.id, left.done) == (IDS[0], LEFT)


def test_a_payload_is_in_no_repr():
    assert 'of 0000' not in repr(PAGE[0])
