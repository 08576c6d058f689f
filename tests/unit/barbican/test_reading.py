# SPDX-License-Identifier: Apache-2.0
"""What a Barbican database has, as km would have it, and what it has that km would not."""
import uuid
from datetime import timedelta

import pytest

from km.barbican import reading, tables
from km.barbican.payloads import Payloads
from km.lifecycle.imports import LEFT, Outcome
from tests.unit.barbican.conftest import THEN

NOW = THEN + timedelta(days=1)


def add_secret(old, project, **more):
    return old.add(tables.SECRETS, **{
        'project_id': project, 'status': 'ACTIVE', 'secret_type': 'opaque', **more})


def add_container(old, project, members=(), **more):
    made = old.add(tables.CONTAINERS, **{
        'project_id': project, 'status': 'ACTIVE', 'type': 'generic', **more})
    for name, secret in members:
        old.add(tables.CONTAINER_SECRETS, container_id=made, secret_id=secret, name=name)
    return made


def secrets(database):
    page, = reading.secrets(database, Payloads(database, {}), now=NOW)
    return page


def containers(database):
    page, = reading.containers(database, now=NOW)
    return page


def test_a_secret_is_read_with_all_that_belongs_to_it(old, database, project):
    other = old.add(tables.PROJECTS, external_id='beta')
    made = add_secret(old, project, name='n', creator_id='ann', expiration=NOW + timedelta(1))
    old.add(tables.SECRET_USER_METADATA, secret_id=made, key='a', value='b')
    for of, service in ((other, 'nova'), (None, 'cinder')):
        old.add(tables.SECRET_CONSUMERS, secret_id=made, project_id=of, service=service,
                resource_type='t', resource_id='r')
    acl = old.add(tables.SECRET_ACLS, secret_id=made, operation='read', project_access=False)
    for operation in ('write', 'list'):
        old.add(tables.SECRET_ACLS, secret_id=made, operation=operation, project_access=True)
    old.add(tables.SECRET_ACL_USERS, acl_id=acl, user_id='bob')
    found, = secrets(database).found
    assert (found.id, found.project_id, found.creator_id, found.created) == (made, 'alpha', 'ann', THEN)
    assert (found.payload, found.content_type, found.metadata) == (None, None, {'a': 'b'})
    assert sorted((used.service, used.project_id) for used in found.consumers) == [
        ('cinder', 'alpha'), ('nova', 'beta')]
    assert (found.acl.project_access, found.acl.users) == (False, {'bob'})


def test_what_barbican_shows_nobody_is_told_apart(old, database, project):
    deleted = add_secret(old, project, deleted=True)
    expired = add_secret(old, project, expiration=NOW)
    page = secrets(database)
    assert (page.found, page.left, page.deleted, page.expired) == ([], [], [deleted], [expired])


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'status': 'ERROR'}, 'its status is ERROR'),
    ({'secret_type': 'odd'}, "km has no type 'odd'"),
    ({'project_id': 'unknown'}, 'its project is not known'),
    ({'id': 'ABC'}, 'its id is no lower-case UUID'),
    ({'id': str(uuid.uuid4()).upper()}, 'its id is no lower-case UUID'),
])
def test_what_km_cannot_take_is_left_with_the_reason(old, database, project, changes, reason):
    made = add_secret(old, project, **changes)
    assert secrets(database).left == [Outcome(made, LEFT, reason)]


def test_a_container_is_read_without_what_is_gone_from_it(old, database, project):
    kept, deleted, expired = (add_secret(old, project, **more) for more in (
        {}, {'deleted': True}, {'expiration': NOW}))
    made = add_container(old, project, [('', kept), ('a', deleted), ('b', expired)], name='c')
    old.add(tables.CONTAINER_CONSUMERS, container_id=made, project_id=project, name='lb', URL='http://x')
    old.add(tables.CONTAINER_ACLS, container_id=made, operation='read', project_access=True)
    found, = containers(database).found
    assert (found.id, found.name, found.members) == (made, 'c', [(None, kept)])
    consumer, = found.consumers
    assert (consumer.service, consumer.resource_type, consumer.resource_id) == ('lb', '', 'http://x')
    assert found.acl.project_access


def test_a_container_of_a_pair_of_dsa_keys_is_generic(old, database, project):
    add_container(old, project, type='dsa')
    found, = containers(database).found
    assert found.type == 'generic'


@pytest.mark.parametrize('names', [('a', 'a'), ('a', 'b'), (None, None)])
def test_a_container_with_a_name_or_a_secret_twice_is_left(old, database, project, names):
    one, two = add_secret(old, project), add_secret(old, project)
    members = zip(names, (one, two if names == ('a', 'a') else one), strict=True)
    made = add_container(old, project, members)
    left, = containers(database).left
    assert (left.id, left.done) == (made, LEFT)
    assert 'twice' in left.reason


def test_quotas_are_those_of_projects_that_are_there(old, database, project):
    for of, more in ((project, {}), ('unknown', {}), (project, {'deleted': True})):
        old.add(tables.QUOTAS, project_id=of, secrets=5, **more)
    assert [quota for page in reading.quotas(database) for quota in page] == [
        ('alpha', {'secrets': 5, 'orders': None, 'containers': None, 'consumers': None, 'cas': None})]
