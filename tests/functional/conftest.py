# SPDX-License-Identifier: Apache-2.0
"""What the functional tests stand on: real servers, started when the first test needs them."""
import pytest

from tests.functional import km_server
from tests.functional.keystone_server import keystone as run_keystone
from tests.functional.mariadb_server import mariadb as run_mariadb
from tests.functional.other_stores import in_a_key_server, in_a_token
from tests.functional.postgresql_server import postgresql as run_postgresql
from tests.functional.rabbitmq_server import rabbitmq as run_rabbitmq
from tests.functional.split_server import split


@pytest.fixture(scope='session')
def postgresql(tmp_path_factory):
    """A PostgreSQL."""
    with run_postgresql(tmp_path_factory.mktemp('postgresql')) as server:
        yield server


@pytest.fixture(scope='session')
def mariadb(tmp_path_factory):
    """A MariaDB."""
    with run_mariadb(tmp_path_factory.mktemp('mariadb')) as server:
        yield server


@pytest.fixture(scope='session')
def rabbitmq(tmp_path_factory):
    """A RabbitMQ. Tests may end it with ``down()``: whoever uses it next finds it running."""
    with run_rabbitmq(tmp_path_factory.mktemp('rabbitmq')) as server:
        yield server


@pytest.fixture(scope='session')
def keystone(tmp_path_factory):
    """A Keystone."""
    with run_keystone(tmp_path_factory.mktemp('keystone')) as server:
        yield server


_OTHER_STORES = {'pkcs11': in_a_token, 'kmip': in_a_key_server}


@pytest.fixture(scope='session',
                params=['standalone', 'keystone', 'mariadb', 'split', 'pkcs11', 'kmip'])
def km(request, tmp_path_factory):
    """A km behind HTTP, in each of its deployments.

    In the end it must stop in order, and its log must have kept every secret.
    """
    folder = tmp_path_factory.mktemp(request.param)
    folder.chmod(0o700)
    if request.param == 'standalone':
        deployment = km_server.standalone(folder / 'quickstart')
    elif request.param == 'split':
        deployment = split(
            folder, *map(request.getfixturevalue, ('postgresql', 'keystone', 'rabbitmq')))
    elif request.param in _OTHER_STORES:
        deployment = _OTHER_STORES[request.param](
            folder, *map(request.getfixturevalue, ('postgresql', 'keystone')))
    else:
        databases = 'mariadb' if request.param == 'mariadb' else 'postgresql'
        deployment = km_server.behind_keystone(
            folder, *map(request.getfixturevalue, (databases, 'keystone')))
    with deployment as running:
        yield running
        running.close()
        assert km_server.ends_cleanly(running.process), running.log_tail()
    assert not running.leaks()
    assert 'Traceback' not in running.log.read_text(errors='replace')


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show the end of km's log with every test of it that fails."""
    report = yield
    if report.failed and 'km' in getattr(item, 'funcargs', {}):
        tested = item.funcargs['km']
        report.sections.append((f'log of km ({tested.deployment})', tested.log_tail()))
    return report
