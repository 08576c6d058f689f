# SPDX-License-Identifier: Apache-2.0
"""``km-manage hsm``, and a whole km on a token."""
import re

import pytest

from km.cmd import manage, run
from km.plugins.secret_store.cryptoki import pins
from km.testing.application import Client, a_deployment, write_conf
from tests.functional.softhsm import PIN, softhsm


@pytest.fixture
def token(folder):
    pins._refused.clear()
    with softhsm(folder) as token:
        yield token


@pytest.fixture
def sections(token, folder):
    return {'secret_store': {'enabled': 'soft, hsm', 'default': 'hsm'},
            'secret_store:hsm': {'plugin': 'pkcs11', 'connection': f'sqlite:///{folder}/hsm.sqlite',
                                 'required': True, **token.settings}}


@pytest.fixture
def hsm(folder, sections, capfd):
    """Runs ``km-manage hsm``; gives the exit status and what it said."""
    conf = write_conf(folder, sections)

    def call(*arguments):
        status = run(lambda: manage.command(['--config-file', str(conf), 'hsm', *arguments]))
        said = capfd.readouterr()
        assert PIN not in said.out + said.err
        return status, said.out + said.err

    return call


def test_from_nothing_to_a_store_that_is_rotated_while_it_serves(hsm, folder, sections):
    status, said = hsm('check', 'hsm')
    assert status == 1
    assert 'no master key; make the first with "km-manage hsm init hsm"' in said
    status, said = hsm('init', 'hsm')
    assert status == 0
    first = re.search('Master key ([0-9a-f-]+) is on the token', said)[1]
    house = a_deployment(folder, sections)
    client = Client(house.application)
    path = client.secret('kept under the first')
    status, said = hsm('rotate', 'hsm')
    assert status == 0
    second = re.search('1 project keys are under the new master key ([0-9a-f-]+) now', said)[1]
    assert client.get(path + '/payload').text == 'kept under the first'
    status, said = hsm('check', 'hsm')
    assert status == 0
    assert f'master key {second}: seals, by suite gcm, SENSITIVE, ALWAYS_SENSITIVE, NEVER_' in said
    assert f'master key {first}: opens' in said
    assert "token: 'km-test', serial " in said
    assert 'AES_GCM' in said
    assert 'workers x 5' in said
    house.close()


def test_a_first_master_key_is_made_once(hsm):
    assert hsm('init', 'hsm')[0] == 0
    status, said = hsm('init', 'hsm')
    assert status == 1
    assert 'has master key' in said
    assert len(re.findall('^master key', hsm('check', 'hsm')[1], re.MULTILINE)) == 1


@pytest.mark.parametrize('name', ['soft', 'nobody'])
def test_a_store_without_a_token_has_no_hsm(hsm, name):
    status, said = hsm('check', name)
    assert status == 1
    assert f"'{name}' is no enabled store of plugin pkcs11" in said


def test_a_store_without_a_master_key_tells_how_to_make_one(folder, sections, hsm):
    status, said = hsm('rotate', 'hsm')
    assert status == 1
    assert '"km-manage hsm init hsm"' in said
