# SPDX-License-Identifier: Apache-2.0
"""Containers without HTTP: what happens to them when their secrets go at the same time."""
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from km.db import containers as rows_of
from km.db import secrets as secrets_of
from km.errors import Conflict, KmError, NotFound, QuotaExceeded
from km.lifecycle import containers, secrets
from tests.unit.lifecycle.test_secrets import created

ROUNDS = 20


def made(ctx, *secret_ids):
    """A new container with these secrets, called 0, 1 and so on."""
    return containers.create(ctx, name='box', container_type='generic', members={
        str(number): secret_id for number, secret_id in enumerate(secret_ids)})


def held(ctx, container_id):
    """The ids of the secrets that a container shows."""
    with ctx.statement() as connection:
        found = rows_of.whole(connection, container_id, now=ctx.clock())
    return [secret_id for _, secret_id in found.secrets]


def outcome(function, *arguments, **named):
    """What a function gave, or the error it raised."""
    try:
        return function(*arguments, **named)
    except KmError as error:
        return error


def counted(ctx, table):
    with ctx.statement() as connection:
        return connection.exec_driver_sql(f'SELECT count(*) FROM {table}').scalar_one()


def test_a_container_that_cannot_be_made_whole_is_not_made(ctx):
    with pytest.raises(NotFound, match="Secret provided for '1' doesn't exist"):
        made(ctx, created(ctx), 'nothing')
    assert counted(ctx, 'containers') == counted(ctx, 'container_secrets') == 0


def test_a_container_beyond_the_quota_is_not_made(ctx):
    secret_id = created(ctx)
    with pytest.raises(QuotaExceeded):
        made(replace(ctx, quotas={**ctx.quotas, 'containers': 0}), secret_id)
    assert counted(ctx, 'containers') == counted(ctx, 'container_secrets') == 0


def test_a_secret_on_its_way_out_is_in_no_container(ctx, clock):
    secret_id = created(ctx)
    container_id = made(ctx, secret_id)
    with ctx.statement() as connection:
        secrets_of.mark_deleting(connection, secret_id, intent='i', now=clock())
    assert held(ctx, container_id) == []
    with pytest.raises(NotFound):
        made(ctx, secret_id)
    with pytest.raises(NotFound):
        containers.add(ctx, container_id=container_id, name='again', secret=secret_id)


def test_the_name_of_a_secret_on_its_way_out_is_free(ctx, clock):
    secret_id, follower = created(ctx), created(ctx)
    container_id = made(ctx, secret_id)
    with ctx.statement() as connection:
        secrets_of.mark_deleting(connection, secret_id, intent='i', now=clock())
    containers.add(ctx, container_id=container_id, name='0', secret=follower)
    assert held(ctx, container_id) == [follower]


def test_a_container_keeps_no_secret_that_is_deleted_while_it_is_made(ctx):
    for _ in range(ROUNDS):
        stays, goes = created(ctx), created(ctx)
        with ThreadPoolExecutor(2) as threads:
            making = threads.submit(outcome, made, ctx, stays, goes)
            threads.submit(secrets.delete, ctx, secret_id=goes).result()
        container_id = making.result()
        assert isinstance(container_id, NotFound) or held(ctx, container_id) == [stays]
    assert counted(ctx, 'container_secrets') == counted(ctx, 'containers')


def test_of_many_who_add_the_same_at_once_one_succeeds(ctx):
    container_id, secret_id = made(ctx), created(ctx)
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: outcome(
            containers.add, ctx, container_id=container_id, name='it', secret=secret_id), range(4)))
    assert [isinstance(answer, Conflict) for answer in answers].count(True) == 3
    assert held(ctx, container_id) == [secret_id]


def test_many_who_make_containers_of_the_same_secrets_do_not_block_each_other_for_good(ctx):
    ids = [created(ctx) for _ in range(5)]
    with ThreadPoolExecutor(4) as threads:
        made_ids = list(threads.map(
            lambda number: made(ctx, *(ids if number % 2 else reversed(ids))), range(12)))
    assert all(sorted(held(ctx, container_id)) == sorted(ids) for container_id in made_ids)


def test_of_many_who_delete_a_container_at_once_one_succeeds(ctx):
    container_id = made(ctx, created(ctx))
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(
            lambda _: outcome(containers.delete, ctx, container_id=container_id), range(4)))
    assert sorted(map(str, answers)) == ['None', *['Secrets container not found.'] * 3]
    assert counted(ctx, 'container_secrets') == 0
