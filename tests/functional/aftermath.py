# SPDX-License-Identifier: Apache-2.0
"""What is in the two databases of a km after an hour and a sweep, and should not be."""
import json
from datetime import timedelta

import sqlalchemy as sa
from oslo_utils import timeutils

from km.cmd import manage

_BEGUN = (
    'UPDATE secrets SET intent_at = :past WHERE intent_at IS NOT NULL',
    'UPDATE transport_keys SET intent_at = :past WHERE intent_at IS NOT NULL',
    "UPDATE orders SET lease_until = :past WHERE status = 'PENDING'",
)
#: Of rows: what should not be there.
_WRONG = {
    'a secret on its way': "SELECT id FROM secrets WHERE status <> 'ACTIVE' OR intent IS NOT NULL",
    'a transport key on its way': 'SELECT id FROM transport_keys WHERE intent IS NOT NULL',
    'half a reference': 'SELECT id FROM secrets WHERE (store IS NULL) <> (reference IS NULL)',
    'an order without an end': "SELECT id FROM orders WHERE status NOT IN ('ACTIVE', 'ERROR')",
    'an order without what it made': "SELECT id FROM orders WHERE status = 'ACTIVE' AND "
        'secret_id IS NULL AND container_id IS NULL',
    'an order that failed and made something': "SELECT id FROM orders WHERE status = 'ERROR' AND "
        '(secret_id IS NOT NULL OR container_id IS NOT NULL)',
    'an ACL of nothing': 'SELECT object_id FROM acl_users WHERE object_id NOT IN '
        '(SELECT id FROM secrets UNION SELECT id FROM containers)',
    'a consumer of nothing': 'SELECT object_id FROM consumers WHERE object_id NOT IN '
        '(SELECT id FROM secrets UNION SELECT id FROM containers)',
}
_REFERENCES = ('SELECT id, reference FROM secrets WHERE reference IS NOT NULL UNION '
               'SELECT id, reference FROM transport_keys WHERE reference IS NOT NULL')
_BLOBS = 'SELECT secret_id, version FROM blobs'


def an_hour_later(km):
    """Let all that was begun count as abandoned."""
    past = timeutils.utcnow() - timedelta(hours=1)
    with km.metadata.begin() as connection:
        for statement in _BEGUN:
            connection.execute(sa.text(statement), {'past': past})


def an_hour_and_a_sweep_later(km):
    """Sweep once; nothing may dangle then."""
    an_hour_later(km)
    assert manage.command(['--config-file', str(km.conf), 'sweep']) == 0
    assert dangling(km) == []


def dangling(km):
    """What is wrong with the databases of a km at rest, each with its id; an empty list if nothing."""
    with km.metadata.connect() as connection:
        found = [(wrong, row.id if 'id' in row._fields else row.object_id)
                 for wrong, query in _WRONG.items() for row in connection.execute(sa.text(query))]
        named = {(row.id, json.loads(row.reference)['version'])
                 for row in connection.execute(sa.text(_REFERENCES))}
    with km.ciphertext.connect() as connection:
        kept = {tuple(row) for row in connection.execute(sa.text(_BLOBS))}
    return (found + [("a payload that is nobody's", secret_id) for secret_id, _ in kept - named]
            + [('a secret without its payload', secret_id) for secret_id, _ in named - kept])
