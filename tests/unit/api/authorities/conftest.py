# SPDX-License-Identifier: Apache-2.0
"""A km with two plugins of certificate authorities, and what its clients do again and again."""
import pytest

from km.lifecycle import authorities
from km.testing import MemoryAuthority
from km.testing.application import Client, a_deployment
from tests.authority_in_full import hosted

BASE = 'http://km.test:9311'
UNKNOWN = '/v1/cas/5a8b8f0d-7e6a-4c9d-9e57-3f1f2b1c0d11'
NOT_FOUND = {'code': 404, 'title': 'Not Found', 'description': 'Not Found. CA not found.'}


@pytest.fixture
def house(folder, clock):
    """A km with two plugins: 'first' has subordinates, 'second' two authorities and no subordinates."""
    house = a_deployment(folder, clock=clock)
    first, second = hosted('first'), hosted('second', plugin=MemoryAuthority)
    second.guest.memory.add('another')
    house.registry.authorities.update(first=first, second=second)
    authorities.announce(house.context)
    yield house
    house.close()


@pytest.fixture
def plugin(house):
    return house.registry.authorities['first'].guest


@pytest.fixture
def roots(ann):
    """The path of each root authority by its plugin's name and its own."""
    found = {}
    for path in listed(ann):
        told = ann.get(path).json
        found[told['plugin_name'], told['plugin_ca_id']] = path
    return found


@pytest.fixture
def root(roots):
    """The path of the one that can have subordinates."""
    return roots['first', 'memory']


@pytest.fixture
def boss(house):
    """An admin of the project beta."""
    return Client(house.application, project_id='beta', user_id='boss', roles='admin,member,reader')


def listed(client, query='', path='/v1/cas'):
    return [ref.removeprefix(BASE) for ref in client.get(f'{path}{query}').json['cas']]


def subordinate(client, parent, **fields):
    made = client.post('/v1/cas', {'name': 'mine', 'subject_dn': 'CN=mine,O=alpha',
                                   'parent_ca_ref': BASE + parent, **fields})
    assert made.status_int == 201, made.text
    assert made.headers['Location'] == made.json['ca_ref']
    assert list(made.json) == ['ca_ref']
    return made.json['ca_ref'].removeprefix(BASE)


def act(client, path, action):
    answer = client.post(f'{path}/{action}')
    assert answer.body == b'' or answer.status_int >= 400
    return answer.status_int


def said(answer, status):
    assert answer.status_int == status, answer.text
    return answer.json['description']
