# SPDX-License-Identifier: Apache-2.0
"""Consumers without HTTP: who comes and goes at the same time."""
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from km.db import consumers as rows_of
from km.errors import Forbidden, Invalid, NotFound
from km.identity import Identity
from km.lifecycle import consumers, containers, secrets, upkeep
from tests.unit.lifecycle.test_containers import ROUNDS, counted, made, outcome
from tests.unit.lifecycle.test_secrets import created

SAID = {'service': 'compute', 'resource_type': 'server', 'resource_id': 'abc'}


def registered(ctx, kind, object_id, **more):
    return consumers.register(ctx, kind=kind, object_id=object_id, **{**SAID, **more})


def of(ctx, kind, object_id):
    with ctx.statement() as connection:
        return rows_of.of(connection, kind, object_id)


@pytest.fixture(params=['secret', 'container'])
def thing(ctx, request):
    """The kind and the id of something that may have consumers."""
    return request.param, (created if request.param == 'secret' else made)(ctx)


def delete(ctx, kind, object_id):
    if kind == 'secret':
        secrets.delete(ctx, secret_id=object_id)
    else:
        containers.delete(ctx, container_id=object_id)


def test_what_says_the_same_of_the_same_is_the_same_consumer(ctx, thing):
    assert registered(ctx, *thing) == registered(ctx, *thing)
    assert len(of(ctx, *thing)) == 1


def test_what_says_anything_else_is_another_one(ctx, thing):
    other = created(ctx)
    ids = {registered(ctx, *thing), registered(ctx, 'secret', other),
           *(registered(ctx, *thing, **{field: 'else'}) for field in SAID),
           registered(ctx, *thing, service='a', resource_type='b", "c'),
           registered(ctx, *thing, service='a", "b', resource_type='c')}
    assert len(ids) == 7


def test_of_many_who_register_the_same_at_once_all_succeed_and_one_is_there(ctx, thing):
    limited = replace(ctx, quotas={**ctx.quotas, 'consumers': 1})
    with ThreadPoolExecutor(4) as threads:
        ids = set(threads.map(lambda _: registered(limited, *thing), range(8)))
    assert [row.id for row in of(ctx, *thing)] == list(ids)


def test_a_consumer_registered_by_another_project_is_only_that_projects_and_the_owners(ctx, thing):
    stranger = replace(ctx, identity=Identity(user_id='eve', project_id='beta'))
    registered(ctx, *thing)
    kind, object_id = thing
    named = {'kind': kind, 'object_id': object_id, 'project_id': 'alpha', **SAID}
    with pytest.raises(Forbidden):
        consumers.remove(stranger, **named)
    consumers.remove(ctx, **named)
    registered(stranger, *thing)
    consumers.remove(stranger, **named)
    assert of(ctx, *thing) == []


def test_nobody_becomes_a_consumer_of_what_is_gone(ctx, thing):
    delete(ctx, *thing)
    with pytest.raises(NotFound):
        registered(ctx, *thing)
    assert counted(ctx, 'consumers') == 0


def test_no_consumer_outlives_what_it_is_of(ctx, thing):
    for _ in range(ROUNDS):
        again = thing[0], (created if thing[0] == 'secret' else made)(ctx)
        with ThreadPoolExecutor(2) as threads:
            coming = threads.submit(outcome, registered, ctx, *again)
            threads.submit(delete, ctx, *again).result()
        assert isinstance(coming.result(), str | NotFound)
    assert counted(ctx, 'consumers') == 0


def test_a_secret_that_is_not_deleted_by_force_never_loses_a_consumer_that_was_acknowledged(ctx):
    for _ in range(ROUNDS):
        secret_id = created(ctx)
        with ThreadPoolExecutor(2) as threads:
            coming = threads.submit(outcome, registered, ctx, 'secret', secret_id)
            going = threads.submit(outcome, secrets.delete, ctx, secret_id=secret_id, force=False)
        stays = isinstance(coming.result(), str)
        assert isinstance(coming.result(), str if stays else NotFound)
        assert isinstance(going.result(), Invalid if stays else type(None))
        assert len(of(ctx, 'secret', secret_id)) == stays


def test_a_secret_that_is_kept_for_its_consumers_is_as_before(ctx, store, rows):
    secret_id = created(ctx)
    registered(ctx, 'secret', secret_id)
    with pytest.raises(Invalid, match='Secret cannot be deleted as it has consumers'):
        secrets.delete(ctx, secret_id=secret_id, force=False)
    row, = rows()
    assert (row['status'], row['intent'], row['intent_at']) == ('ACTIVE', None, None)
    assert store.payloads == {secret_id: b'a payload'}


def test_an_expired_secret_is_erased_with_its_consumers_and_places(ctx, clock, rows):
    secret_id = created(ctx)
    made(ctx, secret_id)
    for number in range(15):
        registered(ctx, 'secret', secret_id, resource_id=str(number))
    with ctx.statement() as connection:
        connection.exec_driver_sql("UPDATE secrets SET expiration = '2030-01-01 12:00:01'")
    clock.forward(minutes=1)
    assert upkeep.sweep(ctx).expired == 1
    assert rows() == []
    assert counted(ctx, 'consumers') == counted(ctx, 'container_secrets') == 0
    assert counted(ctx, 'containers') == 1
