# SPDX-License-Identifier: Apache-2.0
"""Requests whose process is killed, and what must be there afterwards."""
import contextlib
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.functional.open_km import kill

KEY = {'type': 'key', 'meta': {'name': 'disk', 'algorithm': 'aes', 'bit_length': 256}}
PAIR = {'type': 'asymmetric', 'meta': {'name': 'pair', 'algorithm': 'ec', 'bit_length': 256}}
SLOW_PAIR = {'type': 'asymmetric', 'meta': {'name': 'pair', 'algorithm': 'rsa', 'bit_length': 3072}}
LOCKED_PAIR = {'type': 'asymmetric', 'meta': {**PAIR['meta'], 'pass_phrase': 'unmistakable phrase'}}


def killed_at(stops, process, step, ask):
    """Have ``process`` killed at ``step`` of an answer to ``ask()``; give that answer.

    It is None if the process was to give it.
    """
    with ThreadPoolExecutor(1) as threads, stops.at(step) as wait:
        answer = threads.submit(ask)
        wait()
        kill(process)
        with contextlib.suppress(requests.ConnectionError):
            return answer.result()
    return None


def all_of(km, project, collection):
    """Everything of one kind that a project has, as its list shows it."""
    told = km.get(f'/v1/{collection}', who=project).json()
    assert told['total'] == len(told[collection])
    return told[collection]


def assert_readable(km, path, payload, project):
    """A secret has this payload."""
    answer = km.get(f'{path}/payload', who=project)
    assert (answer.status_code, answer.text) == (200, payload)


def given(asked, payload, project):
    """The answer to who creates a secret."""
    return asked.post('/v1/secrets', {
        'payload': payload, 'payload_content_type': 'text/plain'}, who=project)


def placed(asked, order, project):
    """The answer to who places an order."""
    return asked.post('/v1/orders', order, who=project)


def assert_made(km, project, secrets):
    """The project's only order is active, and what it made is all that the project has."""
    order, = all_of(km, project, 'orders')
    assert order['status'] == 'ACTIVE'
    found = {secret['secret_ref'] for secret in all_of(km, project, 'secrets')}
    assert len(found) == secrets
    for path in found:
        assert km.get(f'{path}/payload', who=project).status_code == 200
    if 'secret_ref' in order:
        assert found == {order['secret_ref']}
    else:
        container, = all_of(km, project, 'containers')
        assert container['container_ref'] == order['container_ref']
        assert {member['secret_ref'] for member in container['secret_refs']} == found
