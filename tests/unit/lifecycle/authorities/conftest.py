# SPDX-License-Identifier: Apache-2.0
"""A context with two plugins of certificate authorities, and what the tables say of those."""
import dataclasses

import pytest
from cryptography import x509

from km.db import certificate_orders, models
from km.identity import Identity
from km.lifecycle import subordinates
from km.testing import MemoryAuthority
from tests.authority_in_full import hosted

CN = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'a subordinate')]).public_bytes()
UNKNOWN = '5a8b8f0d-7e6a-4c9d-9e57-3f1f2b1c0d11'


@pytest.fixture
def first():
    return hosted('first')


@pytest.fixture
def second():
    """One that has two authorities, and no subordinates."""
    second = hosted('second', plugin=MemoryAuthority)
    second.guest.memory.add('another')
    return second


@pytest.fixture
def ctx(ctx, first, second):
    return dataclasses.replace(ctx, authorities={'first': first, 'second': second})


@pytest.fixture
def ids(rows):
    """The id of each authority by its plugin's name and its own."""
    return lambda: {(row['plugin_name'], row['plugin_ca_id']): row['id'] for row in rows('authorities')}


@pytest.fixture
def told(rows):
    """The status of each by the same."""
    return lambda: {(row['plugin_name'], row['plugin_ca_id']): row['status']
                    for row in rows('authorities')}


def of(ctx, project_id):
    return dataclasses.replace(ctx, identity=Identity(user_id='somebody', project_id=project_id))


def subordinate(ctx, parent_id, name='a subordinate'):
    return subordinates.create(ctx, name=name, description='', subject=CN, parent_id=parent_id)


def an_order_of(database, ca_id, clock, status='PENDING'):
    """A certificate order, as its rows are."""
    now = clock()
    with database.transaction() as connection:
        connection.execute(models.ORDERS.insert(), {
            'id': UNKNOWN, 'project_id': 'alpha', 'status': status, 'type': 'certificate', 'meta': '{}',
            'created': now, 'updated': now, 'fence': 0, 'attempts': 0, 'repeatable': True,
            'lease_until': now})
        certificate_orders.insert(
            connection, order_id=UNKNOWN, authority_id=ca_id, request_type='custom', step='issue',
            give_up_at=now, renew_key=False)
