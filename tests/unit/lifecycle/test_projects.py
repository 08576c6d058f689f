# SPDX-License-Identifier: Apache-2.0
"""Forgetting a project: everything of it, nothing of others, and as often as one likes."""
import dataclasses

import pytest

from km.errors import Unavailable
from km.lifecycle import (
    acls,
    authorities,
    consumers,
    containers,
    orders,
    projects,
    quotas,
    secrets,
    upkeep,
)
from tests.unit.lifecycle.conftest import Killed, killed_at
from tests.unit.lifecycle.test_certificate_orders import placed, run

NEW = {'secret_type': 'opaque'}
KEY = {'algorithm': 'aes', 'bit_length': 256, 'name': None, 'mode': None, 'expiration': None,
       'payload_content_type': None}
TABLES = ('secrets', 'secret_metadata', 'acl_users', 'containers', 'container_secrets', 'consumers',
          'orders', 'project_settings')


def lived_in(ctx, project_id):
    """A project with something of everything; the id of its secret."""
    theirs = dataclasses.replace(
        ctx, identity=dataclasses.replace(ctx.identity, project_id=project_id))
    secret_id = secrets.create(theirs, payload=b'x', content_type='text/plain', **NEW)
    acls.put(theirs, kind='secret', object_id=secret_id, project_access=True, users=['bob'])
    consumers.register(theirs, kind='secret', object_id=secret_id, service='s', resource_type='t',
                       resource_id='r')
    containers.create(theirs, container_type='generic', name=None,
                      members={'one': secret_id})
    orders.place(theirs, order_type='key', meta=KEY)
    quotas.put(theirs, project_id=project_id, quotas={'secrets': 100})
    return secret_id


def left(rows):
    return {table: len(rows(table)) for table in TABLES if rows(table)}


def test_all_of_a_project_goes_and_nothing_of_another(ctx, rows, store):
    theirs = lived_in(ctx, 'beta')
    before, kept = left(rows), dict(store.payloads)
    lived_in(ctx, 'alpha')
    projects.forget(ctx, 'alpha')
    assert left(rows) == before
    assert store.payloads == kept
    assert theirs in kept
    assert projects.forget(ctx, 'alpha') == 0
    assert left(rows) == before


def test_what_a_project_registered_with_others_things_goes_too(ctx, rows):
    secret_id = secrets.create(ctx, **NEW)
    stranger = dataclasses.replace(
        ctx, identity=dataclasses.replace(ctx.identity, project_id='beta'))
    consumers.register(stranger, kind='secret', object_id=secret_id, service='s', resource_type='t',
                       resource_id='r')
    projects.forget(ctx, 'beta')
    assert (len(rows('consumers')), len(rows('secrets'))) == (0, 1)


@pytest.mark.parametrize('step', range(1, 12))
def test_killed_at_any_step_the_next_one_ends_it(ctx, rows, store, clock, step):
    lived_in(ctx, 'alpha')
    try:
        projects.forget(killed_at(ctx, step), 'alpha')
    except Killed:
        projects.forget(ctx, 'alpha')
    clock.forward(hours=1)
    upkeep.sweep(ctx)
    assert (left(rows), store.payloads) == ({}, {})


def test_a_payload_whose_store_is_down_goes_with_the_sweep(ctx, rows, store, clock):
    lived_in(ctx, 'alpha')
    store.fail = {('find', 'before'): Unavailable('Down.'), ('delete', 'before'): Unavailable('Down.')}
    projects.forget(ctx, 'alpha')
    assert {row['status'] for row in rows()} == {'DELETING'}
    store.fail = {}
    clock.forward(hours=1)
    upkeep.sweep(ctx)
    assert (left(rows), store.payloads) == ({}, {})


def test_a_secret_on_its_way_into_a_store_does_not_arrive(ctx, rows, store):
    keep = store.store

    def slow(request):
        reference = keep(request)
        projects.forget(ctx, 'alpha')
        return reference

    store.store = slow
    with pytest.raises(Unavailable):
        secrets.create(ctx, payload=b'x', content_type='text/plain', **NEW)
    assert (rows(), store.payloads) == ([], {})


def test_orders_of_certificates_that_an_authority_is_at_are_given_up_there(
        certified, rows, store, authority, clock):
    authority.memory.pending_polls, authority.memory.poll_after_seconds = 10, 60
    waiting = placed(certified)
    run(certified)
    projects.forget(certified, 'alpha')
    for _ in range(2):
        clock.forward(hours=1)
        upkeep.sweep(certified)
    assert authority.memory.cancelled == {waiting}
    assert (rows('orders'), rows('certificate_orders'), rows(), store.payloads) == ([], [], [], {})


def test_certificates_and_what_the_project_chose_of_authorities_go_too(certified, rows, store, clock):
    placed(certified)
    run(certified)
    authorities.add(certified, ca_id=rows('authorities')[0]['id'])
    projects.forget(certified, 'alpha')
    upkeep.sweep(certified)
    assert (rows('certificates'), rows('project_authorities'), rows('containers'), rows()) == (
        [], [], [], [])
