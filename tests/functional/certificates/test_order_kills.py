# SPDX-License-Identifier: Apache-2.0
"""A km killed at each step of an order of a certificate, of each kind of authority, and started again:
there is one certificate, the order has it, and nothing dangles. See ``test_kills``."""
import contextlib
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import requests
import sqlalchemy as sa
from oslo_utils import timeutils

from tests.functional.aftermath import an_hour_later, dangling
from tests.functional.certificates import km_with_authorities
from tests.functional.certificates.bind_server import run_bind
from tests.functional.certificates.ejbca_server import CA
from tests.functional.certificates.ejbca_server import ejbca as run_ejbca
from tests.functional.certificates.km_with_authorities import (
    V1_4,
    another,
    assert_belong_together,
    contents,
    path_of,
)
from tests.functional.certificates.pebble_server import run_pebble
from tests.functional.killing import all_of, killed_at
from tests.functional.open_km import kill
from tests.functional.softhsm import softhsm
from tests.functional.stops import BEFORE, COMMITTED, DONE, Step, Stops

NAME = 'www.orders.test'
_SECONDS = 20


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp('order-kills')
    made.chmod(0o700)
    return made


@pytest.fixture(scope='module')
def bind(folder):
    with run_bind(folder) as server:
        yield server


@pytest.fixture(scope='module')
def pebble(folder, bind):
    with run_pebble(folder, dns_port=bind.port) as server:
        yield server


@pytest.fixture(scope='module')
def ejbca(folder):
    with run_ejbca(folder) as server:
        yield server


@pytest.fixture(scope='module')
def km(folder, postgresql, bind, pebble, ejbca):
    """The km that lives on."""
    with softhsm(folder) as token, km_with_authorities.of_each_kind(
            folder, postgresql, token=token, bind=bind, pebble=pebble, ejbca=ejbca) as survivor:
        yield survivor
        assert 'Traceback' not in survivor.log.read_text()


@pytest.fixture(scope='module')
def authorities(km):
    """The database of the authorities that have one."""
    engine = sa.create_engine(km.option('certificate_authority:local', 'connection'))
    yield engine
    engine.dispose()


@pytest.fixture(scope='module')
def stops(km, authorities):
    """What can make a km wait, by whose tables a step is about."""
    hsm = sa.create_engine(km.option('secret_store:hsm', 'connection'))
    made = {'km': Stops(km.metadata, km.ciphertext), 'authority': Stops(authorities, hsm)}
    yield made
    for one in made.values():
        one.close()
    hsm.dispose()


@pytest.fixture
def victim(km, tmp_path):
    """The km that is killed."""
    with another(km, tmp_path) as made:
        yield made


@pytest.fixture
def project():
    """A project that nobody has used before."""
    return uuid.uuid4().hex


@pytest.fixture(scope='module')
def order(km):
    """What an order of each authority says, by the name of its plugin."""
    ids = {}
    for ref in all_of(km, 'anybody', 'cas'):
        ca = km.get(ref, who='anybody').json()
        ids[ca['plugin_name']] = ca['ca_id']
    assert set(ids) == {'local', 'acme', 'ejbca'}
    return {plugin: {'type': 'certificate', 'meta': {
        'request_type': 'new-key', 'subject_dn': f'cn={NAME}', 'ca_id': ca_id}}
        for plugin, ca_id in ids.items()}


@pytest.fixture
def given(authorities, pebble, ejbca):
    """How many certificates each authority has given since the test began."""
    def local():
        with authorities.connect() as connection:
            return connection.scalar(sa.text('SELECT count(*) FROM certificates'))

    count = {'local': local, 'acme': lambda: len(pebble.issued()),
             'ejbca': lambda: len(ejbca.certificates)}
    ejbca.reset()
    before = {plugin: ask() for plugin, ask in count.items()}
    return lambda: {plugin: ask() - before[plugin] for plugin, ask in count.items()}


def placed(asked, order, project):
    return asked.post('/v1/orders', order, who=project)


def goes_on(km, folder, project):
    """Start km again after an hour; give the project's last order when nothing is left to do."""
    start_again(km, folder, lambda: all(
        [one['status'] != 'PENDING' for one in orders(km, project)]
        + [one['status'] != 'REVOKING' for one in certificates(km, project)]) and dangling(km) == [])
    return orders(km, project)[-1]


def start_again(km, folder, done):
    """Let an hour pass, and start km again until something is done."""
    an_hour_later(km)
    with km.metadata.begin() as connection:
        connection.execute(sa.text('UPDATE certificates SET revoke_at = :past WHERE revoke_at > :past'),
                           {'past': timeutils.utcnow() - timedelta(hours=1)})
    with another(km, folder):
        until(done)


def certificates(km, project):
    return km.get('/v1/certificates', who=project, **V1_4).json()['certificates']


def until(true):
    deadline = time.monotonic() + _SECONDS
    while not true():
        assert time.monotonic() < deadline, 'it does not happen'
        time.sleep(0.05)


def orders(km, project):
    return km.get('/v1/orders?type=certificate', who=project).json()['orders']


def assert_made(km, project, order):
    """The only order is fulfilled, and what it made is all that the project has."""
    assert [order] == orders(km, project)
    assert order['status'] == 'ACTIVE', order
    container, = all_of(km, project, 'containers')
    assert container['container_ref'] == order['container_ref']
    assert {one['secret_ref'] for one in all_of(km, project, 'secrets')} == {
        one['secret_ref'] for one in container['secret_refs']}
    assert_whole(km, project, container['container_ref'])


def assert_whole(km, project, container):
    found = contents(km, container, who=project)
    assert set(found) == {'certificate', 'intermediates', 'private_key'}
    return assert_belong_together(found)


def a_step(told, when, event, table, row=1, *, of='km'):
    return pytest.param(of, Step(told, when, event, table, row), id=told)


LOCAL = [
    a_step('after the order was written', COMMITTED, 'INSERT', 'orders'),
    a_step('before it was claimed', BEFORE, 'UPDATE', 'orders'),
    a_step('after it was claimed', COMMITTED, 'UPDATE', 'orders'),
    a_step('before its key was kept', BEFORE, 'INSERT', 'blobs'),
    a_step('after its key was kept', COMMITTED, 'INSERT', 'blobs'),
    a_step('before its key was held', DONE, 'UPDATE', 'certificate_orders'),
    a_step('after its key was held', COMMITTED, 'UPDATE', 'certificate_orders'),
    a_step('before the authority was asked', COMMITTED, 'UPDATE', 'certificate_orders', 2),
    a_step('before the serial number was written', BEFORE, 'INSERT', 'certificates', of='authority'),
    a_step('after the serial number was written', COMMITTED, 'INSERT', 'certificates', of='authority'),
    a_step('before the signature was written', BEFORE, 'UPDATE', 'certificates', of='authority'),
    a_step('after the signature was written', COMMITTED, 'UPDATE', 'certificates', of='authority'),
    a_step('after the intents were written', COMMITTED, 'INSERT', 'secrets', 3),
    a_step('between certificate and chain', BEFORE, 'INSERT', 'blobs', 3),
    a_step('before the container was written', BEFORE, 'INSERT', 'containers'),
    a_step('before the outcome was committed', DONE, 'INSERT', 'certificates'),
    a_step('after the outcome was committed', COMMITTED, 'INSERT', 'certificates'),
]


@pytest.mark.parametrize(('of', 'step'), LOCAL)
def test_an_order_of_a_local_ca_has_one_certificate(
        km, victim, stops, project, order, given, tmp_path, of, step):
    killed_at(stops[of], victim.process, step, lambda: placed(victim, order['local'], project))
    assert_made(km, project, goes_on(km, tmp_path, project))
    assert given() == {'local': 1, 'acme': 0, 'ejbca': 0}


ACME = [
    a_step('after it was placed there', BEFORE, 'UPDATE', 'certificate_orders', 3),
    a_step('after it was written where', COMMITTED, 'UPDATE', 'certificate_orders', 3),
    a_step('before the proof was written', BEFORE, 'INSERT', 'acme_answers', of='authority'),
    a_step('after the proof was written', COMMITTED, 'INSERT', 'acme_answers', of='authority'),
    a_step('after the proof was presented', BEFORE, 'UPDATE', 'certificate_orders', 4),
    a_step('before the proof was forgotten', BEFORE, 'DELETE', 'acme_answers', of='authority'),
    a_step('after the proof was forgotten', COMMITTED, 'DELETE', 'acme_answers', of='authority'),
    a_step('after the certificate was fetched', BEFORE, 'INSERT', 'secrets', 2),
    a_step('after the outcome was committed', COMMITTED, 'INSERT', 'certificates'),
]


@pytest.mark.parametrize(('of', 'step'), ACME)
def test_an_order_of_an_acme_authority_has_one_certificate(
        km, victim, stops, project, order, given, bind, tmp_path, of, step):
    killed_at(stops[of], victim.process, step, lambda: placed(victim, order['acme'], project))
    assert_made(km, project, goes_on(km, tmp_path, project))
    assert given() == {'local': 0, 'acme': 1, 'ejbca': 0}
    assert bind.texts(f'_acme-challenge.{NAME}') == []


@pytest.mark.parametrize(('when', 'path'), [
    ('hold_before', 'search'), ('hold_before', 'pkcs10enroll'), ('hold_after', 'pkcs10enroll')])
def test_an_order_of_an_ejbca_has_one_certificate_wherever_a_call_was_cut_off(
        km, victim, project, order, given, ejbca, tmp_path, when, path):
    killed_while_held(ejbca, victim, when, path, lambda: placed(victim, order['ejbca'], project))
    assert_made(km, project, goes_on(km, tmp_path, project))
    assert given() == {'local': 0, 'acme': 0, 'ejbca': 1}


EJBCA = [
    a_step('after the certificate was fetched', BEFORE, 'INSERT', 'secrets', 2),
    a_step('before the outcome was committed', DONE, 'INSERT', 'certificates'),
]


@pytest.mark.parametrize(('of', 'step'), EJBCA)
def test_an_order_of_an_ejbca_has_one_certificate(
        km, victim, stops, project, order, given, tmp_path, of, step):
    killed_at(stops[of], victim.process, step, lambda: placed(victim, order['ejbca'], project))
    assert_made(km, project, goes_on(km, tmp_path, project))
    assert given() == {'local': 0, 'acme': 0, 'ejbca': 1}


def killed_while_held(ejbca, victim, when, path, ask):
    """Have the victim killed while the EJBCA holds a call of it, before or after it did it."""
    ejbca.go_wrong(when, path=path)
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(ask)
        ejbca.wait_until_held()
        kill(victim.process)
        with contextlib.suppress(requests.ConnectionError):
            answer.result()
    ejbca.tell('release')


def of_each(steps):
    """Steps, each with the plugin it is taken with."""
    return [pytest.param(plugin, *step.values, id=f'{plugin}, {step.id}') for plugin, step in steps]


RENEW = of_each([
    ('local', a_step('after the order was written', COMMITTED, 'INSERT', 'orders')),
    ('local', a_step('after the signature was written', COMMITTED, 'UPDATE', 'certificates',
                     of='authority')),
    ('local', a_step('when the container was empty', DONE, 'DELETE', 'container_secrets')),
    ('local', a_step('before the outcome was committed', DONE, 'INSERT', 'certificates')),
    ('local', a_step('after the outcome was committed', COMMITTED, 'INSERT', 'certificates')),
    ('acme', a_step('after the certificate was fetched', BEFORE, 'INSERT', 'secrets', 2)),
    ('ejbca', a_step('after the certificate was fetched', BEFORE, 'INSERT', 'secrets', 2)),
])


@pytest.mark.parametrize(('plugin', 'of', 'step'), RENEW)
def test_a_renewal_is_made_once_and_the_container_is_whole_all_the_time(
        km, victim, stops, project, order, given, tmp_path, plugin, of, step):
    assert placed(km, order[plugin], project).status_code == 202
    until(lambda: certificates(km, project))
    former, = certificates(km, project)
    renew = f'{path_of(km, former["certificate_ref"])}/renew'
    killed_at(stops[of], victim.process, step, lambda: victim.post(renew, who=project, **V1_4))
    assert_whole(km, project, former['container_ref'])
    goes_on(km, tmp_path, project)
    assert [one['status'] for one in orders(km, project)] == ['ACTIVE', 'ACTIVE']
    current, = certificates(km, project)
    assert (current['version'], current['container_ref']) == (2, former['container_ref'])
    assert_whole(km, project, current['container_ref'])
    assert len(all_of(km, project, 'containers')) == 1
    assert {one['secret_ref'] for one in all_of(km, project, 'secrets')} == {
        *former['secret_refs'].values(), *current['secret_refs'].values()}
    assert given()[plugin] == 2


@pytest.fixture
def revoked(authorities, pebble, ejbca):
    """Whether each authority says that it has revoked a certificate of its."""
    def local(certificate):
        with authorities.connect() as connection:
            return connection.scalar(sa.text(
                "SELECT reason = 'superseded' FROM certificates WHERE serial = :serial"),
                {'serial': f'{certificate.serial_number:040x}'})

    return {'local': local, 'acme': lambda certificate: pebble.status(certificate) == ('Revoked', 4),
            'ejbca': lambda _: [one['reason'] for one in ejbca.certificates] == ['SUPERSEDED']}


REVOKE = of_each([
    ('local', a_step('after it was asked for', COMMITTED, 'UPDATE', 'certificates')),
    ('local', a_step('after it was done', COMMITTED, 'UPDATE', 'certificates', of='authority')),
    ('local', a_step('before the outcome was written', BEFORE, 'UPDATE', 'certificates', 4)),
    ('acme', a_step('before the outcome was written', BEFORE, 'UPDATE', 'certificates', 4)),
    ('ejbca', a_step('before the outcome was written', BEFORE, 'UPDATE', 'certificates', 4)),
])


@pytest.mark.parametrize(('plugin', 'of', 'step'), REVOKE)
def test_what_was_to_be_revoked_is(
        km, victim, stops, project, order, revoked, tmp_path, plugin, of, step, given):
    assert placed(km, order[plugin], project).status_code == 202
    until(lambda: certificates(km, project))
    certificate, = certificates(km, project)
    loaded = assert_whole(km, project, certificate['container_ref'])
    assert not revoked[plugin](loaded)
    path = f'{path_of(km, certificate["certificate_ref"])}/revoke'
    killed_at(stops[of], victim.process, step, lambda: victim.post(
        path, {'reason': 'superseded'}, who=project, **V1_4))
    goes_on(km, tmp_path, project)
    assert [one['status'] for one in certificates(km, project)] == ['REVOKED']
    assert revoked[plugin](loaded)
    assert given()[plugin] == 1


CANCEL = [
    a_step('after it was asked for', COMMITTED, 'UPDATE', 'certificate_orders'),
    a_step('before the outcome was written', DONE, 'UPDATE', 'orders', 3),
]


@pytest.mark.parametrize(('of', 'step'), CANCEL)
def test_an_order_that_was_to_be_cancelled_ends_and_leaves_nothing(
        km, victim, stops, project, order, given, ejbca, tmp_path, of, step):
    ejbca.set(offline=CA)
    path = path_of(km, placed(km, order['ejbca'], project).json()['order_ref'])
    assert km.get(path, who=project).json()['status'] == 'PENDING'
    killed_at(stops[of], victim.process, step,
              lambda: victim.post(f'{path}/cancel', who=project, **V1_4))
    start_again(km, tmp_path, lambda: orders(km, project)[0]['status'] != 'PENDING')
    found = goes_on(km, tmp_path, project)  # the key that was made for it is taken for abandoned then
    assert (found['status'], found['error_reason']) == ('ERROR', 'The order was cancelled.')
    assert all_of(km, project, 'secrets') == all_of(km, project, 'containers') == []
    assert given()['ejbca'] == 0
