# SPDX-License-Identifier: Apache-2.0
"""CADF events, as oslo.messaging's driver for tests gets them."""
import json
from pathlib import Path

import pytest
from oslo_messaging.notify import _impl_test

from km.errors import Misconfigured
from km.testing.application import Client, a_deployment

MAP = Path(__file__).parents[3] / 'etc' / 'km' / 'api_audit_map.conf'
PAYLOAD = 'unmistakable payload'


def audited(folder, **options):
    return a_deployment(folder, {
        'audit': {'enabled': 'true', 'map_file': MAP, **options},
        'audit_middleware_notifications': {'driver': 'test', 'transport_url': 'fake://'}})


@pytest.fixture
def house(folder):
    _impl_test.reset()
    house = audited(folder)
    yield house
    house.close()


def events():
    """The events of answers, in their order."""
    return [message['payload'] for _, message, _, _ in _impl_test.NOTIFICATIONS
            if message['event_type'] == 'audit.http.response']


def test_an_event_tells_who_asked_for_what_and_how_it_ended(house):
    Client(house.application, headers={'X-Auth-Token': 'the-token-of-ann'}).secret(PAYLOAD)
    event, = events()
    assert (event['action'], event['outcome'], event['reason']['reasonCode']) == (
        'create', 'success', '201')
    assert event['initiator']['id'] == 'ann'
    assert event['initiator']['project_id'] == 'alpha'
    assert event['initiator']['request_id'].startswith('req-')
    assert event['target']['typeURI'] == 'service/security/keymanager/secrets'
    assert event['requestPath'] == '/v1/secrets'


@pytest.mark.parametrize(('method', 'below', 'action', 'kind'), [
    ('GET', '', 'read', 'secrets/secret'), ('DELETE', '', 'delete', 'secrets/secret'),
    ('GET', '/payload', 'read', 'secrets/secret/payload'),
    ('GET', '/acl', 'read', 'secrets/secret/acl'),
    ('GET', '/metadata', 'read/list', 'secrets/secret/metadata')])
def test_what_is_done_has_its_cadf_name(house, method, below, action, kind):
    ann = Client(house.application)
    assert ann.ask(method, ann.secret(PAYLOAD) + below).status_int < 300
    event = events()[-1]
    assert (event['action'], event['target']['typeURI']) == (
        action, f'service/security/keymanager/{kind}')


def test_a_denial_is_answered_as_ever_and_is_an_event_too(house):
    path = Client(house.application).secret()
    answer = Client(house.application, project_id='beta').get(path)
    assert (answer.status_int, answer.json['title']) == (403, 'Forbidden')
    event = events()[-1]
    assert (event['outcome'], event['reason']['reasonCode']) == ('failure', '403')


def test_no_event_has_a_payload_or_a_token(house):
    ann = Client(house.application, headers={'X-Auth-Token': 'the-token-of-ann'})
    assert ann.get(ann.secret(PAYLOAD) + '/payload').text == PAYLOAD
    told = json.dumps([message for _, message, _, _ in _impl_test.NOTIFICATIONS])
    assert PAYLOAD not in told
    assert 'the-t' not in told


def test_methods_can_be_left_out(folder):
    _impl_test.reset()
    house = audited(folder, ignored_methods='GET')
    ann = Client(house.application)
    ann.get(ann.secret())
    house.close()
    assert [event['action'] for event in events()] == ['create']


def test_a_map_that_is_not_there_is_named(folder):
    with pytest.raises(Misconfigured, match=r'\[audit\] map_file: /nowhere'):
        audited(folder, map_file='/nowhere')
