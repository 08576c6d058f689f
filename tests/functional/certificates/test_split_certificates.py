# SPDX-License-Identifier: Apache-2.0
"""Certificates where API and workers are apart: the API has neither an authority nor a key of one."""
import os
import signal

import pytest
import sqlalchemy as sa

from tests.functional.aftermath import an_hour_later
from tests.functional.certificates import km_with_authorities
from tests.functional.certificates.certificate_life import NEW, assert_life_of_a_certificate
from tests.functional.certificates.km_with_authorities import (
    assert_belong_together,
    contents,
    ended,
    placed,
    private,
    running,
)
from tests.functional.km_server import ends_cleanly


@pytest.fixture(scope='module')
def km(tmp_path_factory, postgresql, keystone, rabbitmq):
    yield from running(km_with_authorities.split(
        private(tmp_path_factory, 'split-certificates'), postgresql, keystone, rabbitmq))


def test_the_api_has_no_authority_and_knows_which_there_are(km):
    assert 'certificate_authority' not in km.api_conf.read_text()
    ref, = km.get('/v1/cas').json()['cas']
    assert km.get(ref).json()['plugin_name'] == 'local'


def test_a_certificate_lives_and_is_revoked_by_way_of_a_worker(km, tmp_path):
    assert_life_of_a_certificate(km, tmp_path)


def test_an_order_whose_workers_are_killed_has_one_certificate_from_the_next(km):
    path = placed(km, **NEW)
    os.killpg(km.worker.pid, signal.SIGKILL)
    km.worker.wait()
    an_hour_later(km)
    with km.working():
        order = ended(km, path)
        assert order['status'] == 'ACTIVE', order
        assert_belong_together(contents(km, order['container_ref']))
        assert ends_cleanly(km.worker), km.log_tail()
    authority = sa.create_engine(km.option('certificate_authority:local', 'connection'))
    with authority.connect() as connection:
        assert connection.scalar(sa.text(
            'SELECT count(*) FROM certificates WHERE order_id = :id AND certificate IS NOT NULL'),
            {'id': path.rpartition('/')[2]}) == 1
    authority.dispose()
