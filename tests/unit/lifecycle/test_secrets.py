# SPDX-License-Identifier: Apache-2.0
"""Secrets when everything goes wrong: a store that fails, a process killed at every step."""
import dataclasses
import logging
from types import MappingProxyType

import pytest

from km.db import secrets as rows_of
from km.errors import CannotOpen, Conflict, NotFound, Rejected, Unavailable
from km.interfaces import StoreRequest
from km.lifecycle import acls, metadata, secrets, upkeep
from tests.unit.lifecycle.conftest import Killed, killed_at

NEW = {'secret_type': 'opaque', 'name': None, 'algorithm': None, 'mode': None, 'bit_length': None,
       'expiration': None}


def created(ctx, payload=b'a payload'):
    return secrets.create(ctx, payload=payload, content_type='text/plain', **NEW)


def put(ctx, secret_id, payload=b'later'):
    secrets.put_payload(ctx, secret_id=secret_id, project_id='alpha', payload=payload,
                        content_type='text/plain')


def swept(ctx, clock):
    """A sweep after every intent has become old."""
    clock.forward(minutes=11)
    return upkeep.sweep(ctx)


def test_a_secret_is_stored_and_read(ctx, rows):
    secret_id = created(ctx)
    row, = rows()
    assert (row['status'], row['intent'], row['intent_at'], row['store']) == (
        'ACTIVE', None, None, 'memory')
    assert secrets.payload(ctx, secret_id=secret_id, project_id='alpha', store='memory',
                           reference=row['reference']) == b'a payload'


@pytest.mark.parametrize('error', [Rejected('Too long.'), Unavailable('Down.'), ValueError('bug')])
@pytest.mark.parametrize('when', ['before', 'after'])
def test_a_store_that_fails_leaves_nothing(ctx, store, rows, error, when):
    store.fail = {('store', when): error}
    with pytest.raises(type(error)):
        created(ctx)
    assert rows() == []
    assert store.payloads == {}


@pytest.mark.parametrize('when', ['before', 'after'])
def test_a_store_that_fails_leaves_a_secret_that_can_be_given_its_payload_again(
        ctx, store, rows, when):
    secret_id = created(ctx, None)
    store.fail = {('store', when): Unavailable('Down.')}
    with pytest.raises(Unavailable):
        put(ctx, secret_id)
    assert store.payloads == {}
    store.fail = {}
    put(ctx, secret_id)
    assert store.payloads == {secret_id: b'later'}


def test_a_store_that_stays_down_is_left_to_the_sweep(ctx, store, rows, clock, caplog):
    store.fail = {('store', 'after'): Unavailable('Down.'), ('find', 'before'): Unavailable('Down.')}
    with pytest.raises(Unavailable):
        created(ctx)
    assert [row['status'] for row in rows()] == ['STORING']
    assert 'waits for the sweep' in caplog.text
    assert swept(ctx, clock).failed == 1
    store.fail = {}
    assert swept(ctx, clock).ended == 1
    assert (rows(), store.payloads) == ([], {})


@pytest.mark.parametrize('step', [1, 2])
def test_killed_while_creating_leaves_nothing_after_a_sweep(ctx, store, rows, clock, step):
    with pytest.raises(Killed):
        created(killed_at(ctx, step))
    swept(ctx, clock)
    assert (rows(), store.payloads) == ([], {})


@pytest.mark.parametrize('when', ['before', 'after'])
def test_killed_inside_the_store_leaves_nothing_after_a_sweep(ctx, store, rows, clock, when):
    store.fail = {('store', when): Killed()}
    with pytest.raises(Killed):
        created(ctx)
    store.fail = {}
    assert upkeep.sweep(ctx) == upkeep.Swept(), 'a sweep must leave work alone that may yet go on'
    swept(ctx, clock)
    assert (rows(), store.payloads) == ([], {})


@pytest.mark.parametrize('step', [1, 2])
def test_killed_while_putting_a_payload_leaves_a_secret_without_one(ctx, store, rows, clock, step):
    secret_id = created(ctx, None)
    with pytest.raises(Killed):
        put(killed_at(ctx, step), secret_id)
    swept(ctx, clock)
    row, = rows()
    assert (row['status'], row['reference'], row['store'], row['intent']) == (
        'ACTIVE', None, None, None)
    assert store.payloads == {}
    put(ctx, secret_id)
    assert store.payloads == {secret_id: b'later'}


def test_killed_between_the_store_and_the_row_still_deletes(ctx, store, rows, clock):
    secret_id = created(ctx)
    with pytest.raises(Killed):
        secrets.delete(killed_at(ctx, 2), secret_id=secret_id)
    assert [row['status'] for row in rows()] == ['DELETING']
    swept(ctx, clock)
    assert (rows(), store.payloads) == ([], {})


def test_killed_before_deleting_began_changes_nothing(ctx, store, rows, clock):
    secret_id = created(ctx)
    with pytest.raises(Killed):
        secrets.delete(killed_at(ctx, 1), secret_id=secret_id)
    swept(ctx, clock)
    assert [row['status'] for row in rows()] == ['ACTIVE']
    assert store.payloads == {secret_id: b'a payload'}


@pytest.mark.parametrize('when', ['before', 'after'])
def test_killed_inside_the_stores_delete_still_deletes(ctx, store, rows, clock, when):
    secret_id = created(ctx)
    store.fail = {('delete', when): Killed()}
    with pytest.raises(Killed):
        secrets.delete(ctx, secret_id=secret_id)
    store.fail = {}
    swept(ctx, clock)
    assert (rows(), store.payloads) == ([], {})


def test_a_delete_is_done_for_the_client_even_if_the_store_is_down(ctx, store, rows, clock, caplog):
    secret_id = created(ctx)
    store.fail = {('delete', 'before'): Unavailable('Down.')}
    secrets.delete(ctx, secret_id=secret_id)
    assert 'waits for the sweep' in caplog.text
    with pytest.raises(NotFound):
        secrets.delete(ctx, secret_id=secret_id)
    store.fail = {}
    swept(ctx, clock)
    assert (rows(), store.payloads) == ([], {})


def test_a_payload_is_put_once_whoever_else_tries(ctx, store):
    secret_id = created(ctx, None)
    put(ctx, secret_id)
    with pytest.raises(Conflict):
        put(ctx, secret_id, b'another')
    assert store.payloads == {secret_id: b'later'}


def test_a_payload_being_put_keeps_others_from_putting_one(ctx, store):
    secret_id = created(ctx, None)

    class Meanwhile(type(store)):
        def store(self, request):
            with pytest.raises(Conflict):
                put(ctx, secret_id, b'faster')
            return super().store(request)

    store.__class__ = Meanwhile
    put(ctx, secret_id)
    assert store.payloads == {secret_id: b'later'}


def test_a_secret_deleted_while_its_payload_is_put_leaves_nothing(ctx, store, rows, clock):
    secret_id = created(ctx, None)

    class Meanwhile(type(store)):
        def store(self, request):
            secrets.delete(ctx, secret_id=secret_id)
            return super().store(request)

    store.__class__ = Meanwhile
    with pytest.raises(NotFound):
        put(ctx, secret_id)
    with pytest.raises(NotFound):
        put(ctx, secret_id)
    assert store.payloads == {}
    swept(ctx, clock)
    assert rows() == []


def test_a_slow_process_taken_for_dead_cannot_finish_what_was_undone(ctx, store, rows, clock):
    class Slow(type(store)):
        def store(self, request):
            reference = super().store(request)
            swept(ctx, clock)
            return reference

    store.__class__ = Slow
    with pytest.raises(Unavailable):
        created(ctx)
    assert (rows(), store.payloads) == ([], {})


def test_a_slow_delete_and_a_sweep_do_not_trip_over_each_other(ctx, store, rows, clock):
    secret_id = created(ctx)

    class Slow(type(store)):
        def delete(self, stored):
            if self.fail.pop('once', None):
                swept(ctx, clock)
            super().delete(stored)

    store.__class__ = Slow
    store.fail['once'] = True
    secrets.delete(ctx, secret_id=secret_id)
    assert (rows(), store.payloads) == ([], {})


def test_of_two_sweeps_one_takes_the_work(ctx, store, rows, clock, database):
    store.fail = {('store', 'after'): Killed()}
    with pytest.raises(Killed):
        created(ctx)
    store.fail = {}
    clock.forward(minutes=11)
    with database.statement() as connection:
        row, = rows_of.abandoned(connection, before=clock(), page=10)
        assert rows_of.take_over(connection, row, intent='mine', now=clock())
        assert not rows_of.take_over(connection, row, intent='yours', now=clock())


def test_expired_secrets_are_erased_by_the_hundred(ctx, store, rows, clock):
    expiration = clock()
    for _ in range(230):
        secrets.create(ctx, payload=b'x', content_type='text/plain',
                       **{**NEW, 'expiration': expiration})
    stays = created(ctx)
    clock.forward(seconds=1)
    assert upkeep.sweep(ctx).expired == 230
    assert [row['id'] for row in rows()] == [stays]
    assert list(store.payloads) == [stays]


def test_a_store_that_is_not_enabled_any_more_is_unavailable(ctx, rows):
    secret_id = created(ctx)
    elsewhere = dataclasses.replace(ctx, stores={})
    with pytest.raises(Unavailable, match="'memory' is not enabled"):
        secrets.payload(elsewhere, secret_id=secret_id, project_id='alpha', store='memory',
                        reference=rows()[0]['reference'])


def test_a_sweep_survives_a_plugin_with_a_bug(ctx, store, rows, clock, caplog):
    secret_id = created(ctx)
    store.fail = {('delete', 'before'): Unavailable('Down.')}
    secrets.delete(ctx, secret_id=secret_id)
    store.fail = {('delete', 'before'): ZeroDivisionError('a bug')}
    with caplog.at_level(logging.ERROR):
        assert swept(ctx, clock).failed == 1
    assert 'ZeroDivisionError' in caplog.text
    assert [row['status'] for row in rows()] == ['DELETING']


@pytest.mark.parametrize('change', [
    lambda ctx: acls.put(ctx, kind='secret', object_id='gone', project_access=True, users=[]),
    lambda ctx: acls.delete(ctx, kind='secret', object_id='gone'),
    lambda ctx: metadata.replace(ctx, secret_id='gone', pairs={}),
    lambda ctx: metadata.add(ctx, secret_id='gone', key='k', value='v')])
def test_what_is_deleted_meanwhile_cannot_be_changed(ctx, change):
    with pytest.raises(NotFound, match='Secret not found'):
        change(ctx)


def test_of_two_sweeps_one_erases_what_expired(ctx, store, rows, clock, monkeypatch):
    secrets.create(ctx, payload=b'x', content_type='text/plain', **{**NEW, 'expiration': clock()})
    clock.forward(seconds=1)
    erase = secrets.delete

    def another_was_faster(ctx, secret_id):
        erase(ctx, secret_id=secret_id)
        return erase(ctx, secret_id=secret_id)

    monkeypatch.setattr(upkeep.secrets, 'delete', another_was_faster)
    assert upkeep.sweep(ctx) == upkeep.Swept()
    assert rows() == []


def test_a_slow_rival_cannot_destroy_a_payload_that_was_acknowledged(ctx, store, rows, clock):
    secret_id = created(ctx, None)

    class Slow(type(store)):
        def store(self, request):
            if request.payload == b'slow':
                swept(ctx, clock)
                put(ctx, secret_id, b'acknowledged')
            return super().store(request)

    store.__class__ = Slow
    with pytest.raises(Unavailable):
        put(ctx, secret_id, b'slow')
    assert store.payloads == {secret_id: b'acknowledged'}
    assert secrets.payload(ctx, secret_id=secret_id, project_id='alpha', store='memory',
                           reference=rows()[0]['reference']) == b'acknowledged'


def test_a_reference_is_any_mapping(ctx, store, rows):
    keep = store.store
    store.store = lambda request: MappingProxyType(keep(request))
    put(ctx, secrets.create(ctx, secret_type='opaque'))
    secrets.create(ctx, secret_type='opaque', payload=b'at once')
    assert [row['status'] for row in rows() if row['reference']] == ['ACTIVE'] * 2


def test_all_that_several_attempts_left_is_deleted(ctx, store, rows):
    secret_id = created(ctx)
    store.store(StoreRequest(secret_id=secret_id, project_id='alpha', payload=b'left behind'))
    secrets.delete(ctx, secret_id=secret_id)
    assert (rows(), store.payloads) == ([], {})


def test_a_store_that_does_not_delete_is_not_asked_for_ever(ctx, store, rows, caplog):
    secret_id = created(ctx)

    class Stubborn(type(store)):
        def delete(self, stored):
            pass

    store.__class__ = Stubborn
    secrets.delete(ctx, secret_id=secret_id)
    assert 'keeps what it was told to delete' in caplog.text
    assert [row['status'] for row in rows()] == ['DELETING']


def test_a_bug_in_a_plugin_does_not_undo_a_deletion_for_the_client(ctx, store, rows, clock, caplog):
    secret_id = created(ctx)
    expiring = secrets.create(ctx, payload=b'x', content_type='text/plain',
                              **{**NEW, 'expiration': clock()})
    store.fail = {('delete', 'before'): RuntimeError('a bug')}
    secrets.delete(ctx, secret_id=secret_id)
    assert 'RuntimeError: a bug' in caplog.text
    clock.forward(seconds=1)
    assert upkeep.sweep(ctx).expired == 1
    store.fail = {}
    swept(ctx, clock)
    assert (rows(), store.payloads) == ([], {}), expiring


def test_a_payload_that_its_store_lost_is_no_missing_secret(ctx, store, rows):
    secret_id = created(ctx)
    reference = rows()[0]['reference']
    store._attempts.clear()
    with pytest.raises(CannotOpen, match='missing from store memory'):
        secrets.payload(ctx, secret_id=secret_id, project_id='alpha', store='memory',
                        reference=reference)
    secrets.delete(ctx, secret_id=secret_id)
    with pytest.raises(NotFound):
        secrets.payload(ctx, secret_id=secret_id, project_id='alpha', store='memory',
                        reference=reference)


def test_a_sweep_whose_database_fails_ends_rather_than_meeting_the_same_secrets_for_ever(
        ctx, rows, clock, monkeypatch):
    for _ in range(100):
        secrets.create(ctx, **{**NEW, 'expiration': clock()})
    clock.forward(seconds=1)

    def away(ctx, secret_id):
        raise Unavailable('The metadata database does not answer.')

    monkeypatch.setattr(upkeep.secrets, 'delete', away)
    with pytest.raises(Unavailable):
        upkeep.sweep(ctx)
    assert len(rows()) == 100


def test_who_slowly_takes_back_what_it_could_not_put_leaves_what_another_put(
        ctx, store, rows, clock):
    secret_id = secrets.create(ctx, secret_type='opaque')
    find = store.find

    def slow(found):
        store.find, store.fail = find, {}
        swept(ctx, clock)
        put(ctx, secret_id, b'kept')
        return find(found)

    store.find, store.fail = slow, {('store', 'before'): Rejected('No.')}
    with pytest.raises(Rejected):
        put(ctx, secret_id)
    assert store.payloads == {secret_id: b'kept'}
