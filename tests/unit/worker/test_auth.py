# SPDX-License-Identifier: Apache-2.0
"""What a worker lets happen that is called over a wire. Keystone itself is in the functional tests."""
import inspect

import pytest

from km.acl.rules import RULES
from km.errors import Forbidden, NotFound, Unauthenticated
from km.identity import Identity
from km.lifecycle import containers, orders, secrets, transport_keys
from km.lifecycle.acls import put as put_acl
from km.lifecycle.context import ANYBODY, NOBODY, TASKS
from km.worker.auth import _ABOUT, Guard

LIAR = {'user_id': 'ann', 'project_id': 'alpha', 'roles': ('admin',), 'request_id': 'req-1'}
WHO = {'token of ann': ('ann', 'alpha', 'member'), 'token of bob': ('bob', 'alpha', 'member'),
       'token of eve': ('eve', 'beta', 'member'), 'token of a reader': ('rea', 'alpha', 'reader')}


class Keystone:
    """Knows four tokens."""

    def identity(self, token, service_token, *, request_id):
        if token not in WHO:
            raise Unauthenticated('The token is not valid.')
        user, project, role = WHO[token]
        return Identity(user_id=user, project_id=project, roles=(role,), request_id=request_id)


@pytest.fixture
def guard(house, clock):
    return Guard(tokens=Keystone(), policy=house.policy, clock=clock,
                 statement=house.database.statement)


@pytest.fixture
def admit(guard):
    def admit(task, token, *, cast=False, **arguments):
        return guard.admit(task, Identity(**LIAR, token=token), arguments, cast=cast)
    return admit


def id_of(path):
    return path.rpartition('/')[2]


def test_the_identity_is_what_keystone_says_and_not_the_message(admit):
    identity, _ = admit(secrets.create, 'token of eve', secret_type='opaque')
    assert (identity.user_id, identity.project_id, identity.roles, identity.request_id) == (
        'eve', 'beta', ('member',), 'req-1')


@pytest.mark.parametrize('token', [None, '', 'a token nobody has'])
def test_without_a_valid_token_nothing_happens(admit, ann, token):
    secret_id = id_of(ann.secret())
    for task in (secrets.create, secrets.payload, secrets.delete):
        with pytest.raises(Unauthenticated):
            admit(task, token, secret_id=secret_id)


def test_the_payload_is_for_those_the_rules_let_read_it(admit, ann):
    secret_id = id_of(ann.secret())
    for token in ('token of ann', 'token of bob'):
        admit(secrets.payload, token, secret_id=secret_id)
    for token in ('token of eve', 'token of a reader'):
        with pytest.raises(Forbidden):
            admit(secrets.payload, token, secret_id=secret_id)


def test_an_acl_is_asked_anew(admit, ann):
    path = ann.secret()
    ann.put(path + '/acl', {'read': {'project-access': False, 'users': ['eve']}})
    admit(secrets.payload, 'token of eve', secret_id=id_of(path))
    with pytest.raises(Forbidden):
        admit(secrets.payload, 'token of bob', secret_id=id_of(path))
    with pytest.raises(Forbidden):
        admit(secrets.delete, 'token of eve', secret_id=id_of(path))


def test_where_a_payload_is_and_whose_is_taken_from_its_row(admit, ann):
    secret_id = id_of(ann.secret())
    _, arguments = admit(secrets.payload, 'token of ann', secret_id=secret_id, project_id='beta',
                         store='another', reference='{"blob": "of somebody else"}')
    assert (arguments['project_id'], arguments['store']) == ('alpha', 'soft')
    assert 'somebody else' not in arguments['reference']


@pytest.mark.parametrize('arguments', [
    {}, {'secret_id': None}, {'secret_id': ['x']}, {'container_id': 'x'}, {'object_id': 'x'},
    {'kind': 'container', 'object_id': 'x'}])
def test_a_task_about_a_secret_that_names_none_is_refused(admit, arguments):
    with pytest.raises(Forbidden):
        admit(secrets.payload, 'token of ann', **arguments)


def test_what_is_not_there_is_not_found(admit):
    for secret_id in ('', '../x', '2f4b3a52-7c1d-4d5a-9a3e-0c3d1f6a7b81'):
        with pytest.raises(NotFound):
            admit(secrets.payload, 'token of ann', secret_id=secret_id)


def test_a_kind_that_is_none_is_refused(admit, ann):
    path = ann.secret()
    admit(put_acl, 'token of ann', kind='secret', object_id=id_of(path))
    for kind in (None, 'nonesuch', 'version:get', 'container', 5, ['secret']):
        with pytest.raises((Forbidden, NotFound)):
            admit(put_acl, 'token of ann', kind=kind, object_id=id_of(path))


def test_one_action_of_several_is_enough(admit):
    admit(transport_keys.current, 'token of a reader')
    admit(transport_keys.current, 'token of eve')


def test_a_secret_in_the_arguments_is_not_what_a_containers_task_is_about(admit, eve, ann):
    theirs = id_of(eve.post('/v1/containers', {'type': 'generic'}).json['container_ref'])
    with pytest.raises(Forbidden):
        admit(containers.add, 'token of ann', container_id=theirs, secret_id=id_of(ann.secret()))


def test_kms_own_tasks_are_cast_and_never_called(admit):
    assert admit(orders.process, None, cast=True, order_id='x') == (NOBODY, {'order_id': 'x'})
    with pytest.raises(Forbidden):
        admit(orders.process, 'token of ann', order_id='x')


def test_what_somebody_asks_for_is_called_and_never_cast(admit, ann):
    with pytest.raises(Forbidden):
        admit(secrets.delete, 'token of ann', cast=True, secret_id=id_of(ann.secret()))


def test_what_anybody_may_call_needs_no_token(admit):
    def health(ctx):
        """Nothing."""
    health.actions, health.reread = (ANYBODY,), ()
    assert admit(health, None) == (NOBODY, {})


def test_every_task_is_about_something_that_the_worker_can_decide_about():
    actions = {rule.action for rule in RULES}
    for task in TASKS.values():
        told = {action.format(kind=kind) for action in task.actions for kind in ('secret', 'container')}
        assert told - {ANYBODY} <= actions, task.task
        if task.reread:  # its row is there, whichever of the actions is allowed
            assert all(_ABOUT.get(action.format(kind='secret')) for action in task.actions), task.task


def test_no_task_that_can_be_called_puts_names_of_the_callers_choice_into_a_row():
    kept = {'consumers.register', 'consumers.remove'}  # their words go to a function that names them
    for task in TASKS.values():
        if task.actions and task.task not in kept:
            kinds = {given.kind for given in inspect.signature(task).parameters.values()}
            assert inspect.Parameter.VAR_KEYWORD not in kinds, task.task
