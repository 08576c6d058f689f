# SPDX-License-Identifier: Apache-2.0
"""What is done about the events that Keystone tells of."""
import logging

import pytest
from oslo_messaging import NotificationResult

from km.errors import Unavailable
from km.worker.keystone_events import DeletedProjects

PLAIN = {'resource_info': 'p1'}
CADF = {'typeURI': 'http://schemas.dmtf.org/cloud/audit/1.0/event', 'action': 'deleted.project',
        'target': {'typeURI': 'data/security/project', 'id': 'p1'}}


@pytest.fixture
def forgotten():
    return []


def told(payload, forget, pauses=None):
    heard = DeletedProjects(forget, pause=(pauses if pauses is not None else []).append)
    return heard.info({}, 'identity.host', 'identity.project.deleted', payload, {})


@pytest.mark.parametrize('payload', [PLAIN, CADF, {**CADF, **PLAIN}], ids=['plain', 'CADF', 'both'])
def test_a_project_is_forgotten_in_whatever_form_keystone_tells_of_it(forgotten, payload):
    assert told(payload, forgotten.append) == NotificationResult.HANDLED
    assert forgotten == ['p1']


@pytest.mark.parametrize('payload', [
    None, [], 'p1', {}, {'resource_info': ''}, {'resource_info': 7}, {'target': 'p1'}, {'target': {}},
    {'resource_info': 'p' * 256}])
def test_an_event_that_names_no_project_is_dropped_and_erases_nothing(forgotten, payload, caplog):
    assert told(payload, forgotten.append) == NotificationResult.HANDLED
    assert forgotten == []
    assert 'names no project' in caplog.text


@pytest.mark.parametrize('error', [Unavailable('The database is down.'), ValueError('a bug')])
def test_an_event_whose_work_fails_comes_again_after_a_pause(error, caplog):
    caplog.set_level(logging.WARNING)

    def fail(_project_id):
        raise error

    pauses = []
    assert told(PLAIN, fail, pauses) == NotificationResult.REQUEUE
    assert pauses == [5.0]
    assert 'Project p1 is forgotten later' in caplog.text


@pytest.mark.parametrize(('event', 'wanted'), [
    ('identity.project.deleted', True), ('identity.project.created', False),
    ('identity.project.deleted.pending', False), ('identity.user.deleted', False)])
def test_only_deleted_projects_are_heard_of(event, wanted):
    matched = DeletedProjects.filter_rule.match({}, 'identity.host', event, {}, {})
    assert matched is wanted
