# SPDX-License-Identifier: Apache-2.0
"""Containers and quotas that come from elsewhere."""
import dataclasses
import uuid

import pytest

from km.db import settings
from km.lifecycle import secrets
from km.lifecycle.imported_containers import Container, bring_containers, bring_quotas
from km.lifecycle.imports import IMPORTED, LEFT, THERE, Outcome
from tests.unit.lifecycle.test_imports import ACL, CONSUMER, THEN

IDS = [str(uuid.UUID(int=number)) for number in range(10, 14)]
QUOTAS = {'secrets': 5, 'orders': None, 'containers': -1, 'consumers': 0, 'cas': None}


@pytest.fixture
def members(ctx):
    """A list of members: two secrets, one of which has a name."""
    made = [secrets.create(ctx, secret_type='opaque') for _ in range(2)]
    return [('one', made[0]), (None, made[1])]


def a_container(container_id=IDS[0], members=(), **more):
    described = {'id': container_id, 'project_id': 'alpha', 'creator_id': 'ann', 'name': None,
                 'type': 'generic', 'created': THEN, 'updated': THEN, 'acl': None, 'consumers': ()}
    return Container(members=members, **{**described, **more})


def test_containers_come_over_as_they_were_and_a_second_time_nothing_happens(ctx, rows, members):
    page = [a_container(IDS[0], members, acl=ACL), a_container(IDS[1], consumers=[CONSUMER], name='b'),
            a_container(IDS[2], project_id='beta')]
    would = bring_containers(ctx, page, dry_run=True)
    assert rows('containers') == []
    assert would == bring_containers(ctx, page) == [
        Outcome(container.id, IMPORTED) for container in page]
    found = {row['id']: row for row in rows('containers')}
    assert found[IDS[0]]['created'] == found[IDS[0]]['acl_updated'] == '2020-02-02 02:02:02.000000'
    assert found[IDS[0]]['project_access'] == 0
    assert sorted((row['name'] or '', row['secret_id']) for row in rows('container_secrets')) == sorted(
        (name or '', secret) for name, secret in members)
    assert {row['user_id'] for row in rows('acl_users')} == {'bob', 'cem'}
    assert [row['object_id'] for row in rows('consumers')] == [IDS[1]]
    assert bring_containers(ctx, page) == [Outcome(container.id, THERE) for container in page]


def test_a_container_waits_for_its_secrets_and_keeps_no_other_from_coming(ctx, rows, members):
    missing = str(uuid.uuid4())
    page = [a_container(IDS[0], [('x', missing)]), a_container(IDS[1], members),
            a_container(IDS[2], [*members, ('x', missing)])]
    left = 'secrets in it are not in km'
    told = [Outcome(IDS[0], LEFT, left), Outcome(IDS[1], IMPORTED), Outcome(IDS[2], LEFT, left)]
    assert bring_containers(ctx, page, dry_run=True, left={missing}) == told
    assert bring_containers(ctx, page) == told
    assert [row['id'] for row in rows('containers')] == [IDS[1]]


def test_a_secret_of_another_project_is_not_there(ctx, members):
    page = [a_container(IDS[0], members, project_id='beta')]
    outcome, = bring_containers(ctx, page)
    assert outcome.done == LEFT


@pytest.mark.parametrize(('changes', 'said'), [
    ({'type': 'rsa'}, 'type'),
    ({'members': []}, 'list of secrets'),
    ({'acl': ACL, 'consumers': [CONSUMER]}, 'ACL, consumers'),
])
def test_a_container_that_is_there_but_not_the_same_is_told(ctx, members, changes, said):
    container = a_container(IDS[0], members)
    bring_containers(ctx, [container])
    assert bring_containers(ctx, [dataclasses.replace(container, **changes)]) == [
        Outcome(IDS[0], LEFT, f'it is in km with another {said}')]


def test_quotas_come_over_once_and_are_compared_then(ctx):
    assert bring_quotas(ctx, 'alpha', QUOTAS, dry_run=True) == Outcome('alpha', IMPORTED)
    assert bring_quotas(ctx, 'alpha', QUOTAS) == Outcome('alpha', IMPORTED)
    with ctx.statement() as connection:
        row = settings.get(connection, 'alpha')
    assert {name: getattr(row, name) for name in settings.RESOURCES} == QUOTAS
    assert bring_quotas(ctx, 'alpha', QUOTAS) == Outcome('alpha', THERE)
    assert bring_quotas(ctx, 'alpha', {**QUOTAS, 'cas': 1}) == Outcome(
        'alpha', LEFT, 'it is in km with another cas')
