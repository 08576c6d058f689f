# SPDX-License-Identifier: Apache-2.0
"""A project that a real Keystone deletes leaves nothing in km, however Keystone tells of it."""
import time

import pytest
import sqlalchemy

from km.db.models import METADATA
from tests.functional import km_server
from tests.functional.keystone_server import keystone as run_keystone
from tests.functional.servers import running, wait_until

FORGOTTEN_SECONDS = 30


@pytest.fixture(scope='module', params=['basic', 'cadf'])
def told(request, tmp_path_factory, postgresql, rabbitmq):
    """A km whose Keystone tells of what happens in each of its forms, and its listener's process."""
    folder = tmp_path_factory.mktemp(request.param)
    folder.chmod(0o700)
    with run_keystone(tmp_path_factory.mktemp('keystone'), transport_url=rabbitmq.transport_url,
                      notification_format=request.param) as keystone, \
            km_server.behind_keystone(
                folder, postgresql, keystone, name=f'km_{request.param}',
                sections={'DEFAULT': {'transport_url': rabbitmq.transport_url},
                          'keystone_notifications': {'pool_name': 'km'}}) as km:
        command = [km_server.program('km-keystone-listener'), '--config-file', str(km.conf)]
        log = folder / 'listener.log'
        with running(command, log, env=km_server.environment()) as listener:
            wait_until(lambda: queues(rabbitmq) > 0, listener, log)
            yield km, listener
            km.close()
            if listener.poll() is None:
                assert km_server.ends_cleanly(listener), log.read_text()
        assert 'Traceback' not in log.read_text()


def queues(rabbitmq):
    """How many listeners the queue of the pool has."""
    with rabbitmq.connect() as connection:
        try:
            return connection.channel().queue_declare('km', passive=True).consumer_count
        except connection.channel_errors:
            return 0


def rows(km, project_id):
    """What km has of a project, by table."""
    found = {}
    with km.metadata.connect() as connection:
        for name, table in METADATA.tables.items():
            if 'project_id' in table.c:
                found[name] = connection.execute(sqlalchemy.select(sqlalchemy.func.count()).where(
                    table.c.project_id == project_id)).scalar()
    return found


def test_a_deleted_project_leaves_nothing_and_another_one_all(told):
    km, _ = told
    ours = km.secret()
    secret = km.secret(who='beta-member')
    km.put(secret + '/metadata', {'metadata': {'a': 'b'}}, who='beta-member')
    km.put(secret + '/acl', {'read': {'users': ['x']}}, who='beta-member')
    assert km.post('/v1/containers', {'type': 'generic', 'secret_refs': [
        {'name': 'one', 'secret_ref': km.url + secret}]}, who='beta-member').status_code == 201
    assert km.post('/v1/orders', {'type': 'key', 'meta': {
        'algorithm': 'aes', 'bit_length': 256, 'mode': 'cbc'}}, who='beta-member').status_code == 202
    payloads, project_id = count_of_payloads(km), km.session('beta-member').get_project_id()
    there = rows(km, project_id)
    assert (there['secrets'], there['containers'], there['orders']) == (2, 1, 1)
    assert km.keystone.delete_project('beta') == project_id
    deadline = time.monotonic() + FORGOTTEN_SECONDS
    while any(rows(km, project_id).values()):
        assert time.monotonic() < deadline, rows(km, project_id)
        time.sleep(0.2)
    assert count_of_payloads(km) == payloads - 2
    assert km.get(ours + '/payload').status_code == 200


def count_of_payloads(km):
    """How many ciphertexts the store keeps."""
    with km.ciphertext.connect() as connection:
        return connection.exec_driver_sql('SELECT count(*) FROM blobs').scalar()
