# SPDX-License-Identifier: Apache-2.0
"""The plugin's own database on real database servers: accounts, their keys and answers to challenges."""
import contextlib
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from km.interfaces import PendingOrder
from km.plugins.certificate_authority.acme.plugin import Acme
from km.plugins.certificate_authority.acme.tables import ACCOUNT_KEYS, ANSWERS
from km.testing import MemoryKeyStore, open_authority, open_plugin
from tests.functional.certificates.acme_client import MockDnsResponder, an_order, finished, names
from tests.functional.certificates.pebble_server import run_mock_dns, run_pebble


@pytest.fixture(scope='module')
def dns(tmp_path_factory):
    with run_mock_dns(tmp_path_factory.mktemp('mock-dns')) as server:
        yield server


@pytest.fixture(scope='module')
def pebble(dns, tmp_path_factory):
    with run_pebble(tmp_path_factory.mktemp('pebble'), dns_port=dns.dns_port) as server:
        yield server


@pytest.fixture
def key_store():
    return open_plugin(MemoryKeyStore)


@pytest.fixture
def responder(dns):
    return MockDnsResponder(dns)


@pytest.fixture(params=['postgresql', 'mariadb'])
def opened(request, pebble, key_store, responder):
    """Opens the plugin, as several processes do, on one new database of a server."""
    url = request.getfixturevalue(request.param).create_database(f'km_{uuid.uuid4().hex}')
    with contextlib.ExitStack() as opened:
        def open_one():
            authority = open_authority(
                Acme, key_stores={'soft': key_store}, responders={'dns': responder},
                directory_url=pebble.directory_url, ca_file=str(pebble.ca_file), key_store='soft',
                connection=url, terms_of_service_agreed=True)
            opened.callback(authority.close)
            return authority

        yield open_one


def aged(acme, table):
    """Have all rows of a table be written two days ago."""
    for row in acme._database.all(sa.select(table)):
        key = next(iter(table.primary_key))
        acme._database.run(sa.update(table).where(key == row[0]).values(
            written_at=row.written_at - timedelta(days=2)))


def test_an_account_is_registered_used_and_given_another_key(opened, key_store):
    authorities = [opened() for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(lambda authority: authority.check(), authorities))) == 1
    assert names(finished(authorities[0], an_order('database.test'))) == ['database.test']
    authorities[1].roll_over_account_key()
    assert names(finished(authorities[2], an_order('database.test'))) == ['database.test']
    assert len(key_store._signing_keys) == 1


def test_what_is_left_over_is_swept(opened, key_store, responder, dns):
    acme, order = opened(), an_order('left.test')
    responder.waits = [5]
    acme.poll(PendingOrder(order=order, reference=acme.issue(order).reference))
    acme._keys.make()
    opened()
    assert (len(key_store._signing_keys), len(dns.txt)) == (2, 1)
    aged(acme, ACCOUNT_KEYS)
    aged(acme, ANSWERS)
    opened()
    assert (len(key_store._signing_keys), len(dns.txt)) == (1, 0)
    assert acme.check()
