# SPDX-License-Identifier: Apache-2.0
"""Orders, renewals and notices on the databases that refuse what does not fit."""
import contextlib
import dataclasses
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from km.db import certificates, models
from km.db.engine import Database
from km.errors import KmError, Rejected, Unavailable
from km.identity import Identity
from km.lifecycle import authorities, containers, orders, projects, revocations, secrets, upkeep
from tests.unit.lifecycle import conftest
from tests.unit.lifecycle.conftest import SameThreadAuthority
from tests.unit.lifecycle.test_certificate_orders import placed, run
from tests.unit.lifecycle.test_events import hosted
from tests.unit.lifecycle.test_events import listener as listener

#: Fixtures: a worker that has a store, and an authority.
worker, store, authority, certified_worker = (
    conftest.ctx, conftest.store, conftest.authority, conftest.certified)
TABLES = (models.EVENTS, models.CERTIFICATES, models.CERTIFICATE_ORDERS, models.ORDERS,
          models.CONTAINER_SECRETS, models.CONTAINERS, models.SECRETS, models.PROJECT_AUTHORITIES,
          models.AUTHORITIES)
ODD = 'No: \x00 \ud800 \u202e ' + 'ä€𝄞' * 1000


@pytest.fixture(scope='module', params=['postgresql', 'mariadb'])
def database(request):
    database = Database(request.getfixturevalue(request.param).create_database('orders'))
    database.upgrade()
    yield database
    database.close()


@pytest.fixture
def ctx(worker):
    return dataclasses.replace(worker, identity=Identity(user_id='ann', project_id=uuid.uuid4().hex))


@pytest.fixture
def certified(ctx, authority, database):
    certified = dataclasses.replace(ctx, authorities={'ca': SameThreadAuthority(authority)},
                                    may=lambda *_: True)
    authorities.announce(certified)
    yield certified
    with database.transaction() as connection:
        for table in TABLES:
            connection.execute(table.delete())


@pytest.fixture
def rows(database):
    def read(table='secrets'):
        with database.statement() as connection:
            return connection.execute(sa.select(models.METADATA.tables[table])).mappings().all()
    return read


def current(rows):
    row, = (row for row in rows('certificates') if row['is_current'])
    return row


@pytest.mark.parametrize('error', [Rejected(ODD), Unavailable(ODD)])
def test_whatever_an_authority_says_can_be_written_down(certified, rows, authority, error):
    authority.memory.fail('issue', error)
    placed(certified)
    run(certified)
    order, = rows('orders')
    assert 'No:' in order['sub_status_message']
    assert '\x00' not in order['sub_status_message']


def test_a_certificate_of_many_names_is_renewed(certified, rows, authority, clock):
    names = [f'{number:03}.{"a" * 26}.example' for number in range(90)]
    placed(certified, renews=True, renew_percent=50, meta={
        'request_type': 'new-key', 'subject_dn': 'cn=' + names[0], 'subject_alt_names': names})
    run(certified)
    first = current(rows)
    clock.forward(days=46)
    assert upkeep.sweep(certified).renewed == 1
    run(certified)
    assert current(rows)['version'] == 2
    assert current(rows)['names'] == first['names']


def test_a_renewal_that_fails_and_one_that_does_not(certified, rows, authority, clock):
    placed(certified, renews=True, renew_percent=50)
    run(certified)
    authority.memory.fail('issue', Rejected(ODD), times=2)
    for _ in range(5):
        clock.forward(days=46 if not current(rows)['renewal_failures'] else 2)
        upkeep.sweep(certified)
        run(certified)
    assert current(rows)['version'] >= 2
    assert revocations.revoke(certified, certificate_id=current(rows)['id'], reason='superseded')


def test_a_project_that_is_forgotten_gives_up_its_orders(certified, rows, store, authority, clock):
    authority.memory.pending_polls, authority.memory.poll_after_seconds = 1000, 60
    placed(certified)
    run(certified)
    projects.forget(certified, certified.identity.project_id)
    clock.forward(hours=2)
    upkeep.sweep(certified)
    clock.forward(hours=2)
    upkeep.sweep(certified)
    assert (rows('orders'), rows('certificate_orders'), rows(), store.payloads) == ([], [], [], {})


def test_former_versions_are_forgotten(certified, rows, authority, clock):
    placed(certified, renews=True, renew_percent=50)
    run(certified)
    for _ in range(8):
        clock.forward(days=46)
        upkeep.sweep(certified)
        run(certified)
    assert 4 <= len(rows('certificates')) <= 6


def test_notice_is_given_of_what_nobody_renews(certified, rows, listener, clock):
    told = dataclasses.replace(certified, notifiers={'one': hosted(listener)})
    placed(told)
    placed(told, renews=True, renew_percent=95)
    run(told)
    for _ in range(91):
        clock.forward(days=1)
        upkeep.sweep(told)
        run(told)
        upkeep.sweep(told)
    assert listener.kinds.count('certificate.expiring') == 3
    with told.statement() as connection:
        (_, count, _, failed), = certificates.soonest(connection)
    assert (count, failed) == (2, 0)


def test_many_who_sweep_while_owners_change_their_minds_leave_whole_pairs(
        certified, rows, store, authority, clock, caplog):
    authority.memory.pending_polls = 1
    for _ in range(12):
        placed(certified, renews=True, renew_percent=50)
    run(certified)
    clock.forward(minutes=1)
    upkeep.sweep(certified)
    first = rows('certificates')
    assert len(first) == 12
    clock.forward(days=46)
    cast = dataclasses.replace(certified, cast=lambda *_, **__: None)

    def act(number):
        with contextlib.suppress(KmError):
            if number % 3 == 0:
                upkeep.sweep(cast)
            elif number % 3 == 1:
                containers.delete(cast, container_id=first[number % 6]['container_id'])
            else:
                secrets.delete(cast, secret_id=first[6 + number % 4]['certificate_id'])
                revocations.revoke(cast, certificate_id=first[10]['id'], reason='superseded')
                for order in rows('orders'):
                    if order['status'] == 'PENDING' and number == 5:
                        orders.delete(cast, order_id=order['id'])

    with ThreadPoolExecutor(9) as threads:
        list(threads.map(act, range(36)))
    for _ in range(4):
        clock.forward(minutes=30)
        upkeep.sweep(cast)
    assert 'nobody foresaw' not in caplog.text
    assert 'Traceback' not in caplog.text
    left = {row['id'] for row in rows('containers')}
    for row in rows('certificates'):
        if row['is_current'] and row['container_id'] in left:
            held = {one['secret_id'] for one in rows('container_secrets')
                    if one['container_id'] == row['container_id']}
            assert held <= {row['certificate_id'], row['intermediates_id'], row['private_key_id']}
            assert row['private_key_id'] in held
    assert {row['status'] for row in rows()} <= {'ACTIVE', 'DELETING'}
    assert {row['id'] for row in rows() if row['reference']} == set(store.payloads)
    assert max(row['version'] for row in rows('certificates')) == 2
