# SPDX-License-Identifier: Apache-2.0
"""The ``openstack`` command with the stock plugin and ours in it, against a real km.

Against the quick start with an empty home and nothing but its openrc; behind Keystone as users of
projects that have names.
"""
import json
import subprocess
import uuid

import pytest
from cryptography.hazmat.primitives import serialization

from tests.functional.assertions import standalone_only
from tests.functional.keystone_server import DOMAIN, REGION
from tests.functional.km_server import environment, new_text, program

# What stands behind the API is nothing to a client: one km behind Keystone is enough.
with_keystone = pytest.mark.parametrize('km', ['keystone'], indirect=True, scope='session')
with_both = pytest.mark.parametrize('km', ['standalone', 'keystone'], indirect=True, scope='session')


@pytest.fixture
def openstack(km, tmp_path):
    """Runs ``openstack``; gives what it prints, or what it complains of if it must fail."""
    def run(*arguments, who='alpha-member', status=0):
        done = subprocess.run(
            [program('openstack'), *arguments], cwd=tmp_path, capture_output=True, text=True,
            env=environment(HOME=str(tmp_path), **credentials(km, who)))
        assert done.returncode == status, done.stdout + done.stderr
        assert 'Traceback' not in done.stderr
        return done.stderr if status else done.stdout

    return run


def credentials(km, who):
    """The environment of somebody who has sourced an openrc."""
    if not km.keystone:
        return km.openrc()
    user = km.keystone.user(who)
    return {'OS_AUTH_URL': km.keystone.auth_url, 'OS_USERNAME': user.name,
            'OS_PASSWORD': user.password, 'OS_PROJECT_NAME': user.project,
            'OS_USER_DOMAIN_ID': DOMAIN, 'OS_PROJECT_DOMAIN_ID': DOMAIN, 'OS_REGION_NAME': REGION,
            'OS_IDENTITY_API_VERSION': '3'}


def shown(text):
    return json.loads(text)


@with_both
@pytest.mark.parametrize('name', ['list', 'get preferred', 'demo'])
def test_the_stock_command_stores_a_secret_of_any_name(km, openstack, name):
    payload = km.hide(new_text())
    made = shown(openstack('secret', 'store', '-n', name, '-p', payload, '-f', 'json'))
    assert made['Name'] == name
    assert km.get(made['Secret href'] + '/payload').text == payload


@with_both
def test_a_secret_is_shown_by_reference_and_by_id(km, openstack):
    path = km.secret(name='disk', algorithm='aes', bit_length=256)
    by_id = shown(openstack('secret', 'show', path.rpartition('/')[2], '-f', 'json'))
    assert by_id == shown(openstack('secret', 'show', km.url + path, '-f', 'json'))
    assert by_id['Secret href'] == km.url + path
    assert (by_id['Name'], by_id['Status'], by_id['Bit length']) == ('disk', 'ACTIVE', 256)
    assert by_id['Content types'] == {'default': 'text/plain'}
    assert by_id['Consumers'] == []


@with_both
def test_a_secret_that_is_not_there_is_told_in_one_line(km, openstack):
    said = openstack('secret', 'show', str(uuid.uuid4()), status=1)
    assert said.splitlines() == ['Not Found. Secret not found. (HTTP 404)']


@with_keystone
def test_a_secret_of_others_is_refused_in_one_line(km, openstack):
    (line,) = openstack('secret', 'show', km.url + km.secret(), who='beta-member',
                        status=1).splitlines()
    assert 'not allowed' in line
    assert line.endswith('(HTTP 403)')


@with_keystone
def test_a_project_that_is_not_there_is_told_before_km_is_asked(km, openstack):
    said = openstack('secret', 'quota', 'show', '--project', 'nowhere', who='admin', status=1)
    assert "'nowhere'" in said


@standalone_only
def test_a_wrong_password_is_told(km, openstack, monkeypatch):
    wrong = {**km.openrc(), 'OS_PASSWORD': 'wrong'}
    monkeypatch.setattr(km, 'openrc', lambda: wrong)
    assert '(HTTP 401)' in openstack('secret', 'show', str(uuid.uuid4()), status=1)


@standalone_only
def test_help_lists_our_commands_beside_the_stock_ones(openstack):
    said = openstack('help', 'secret')
    assert [name for name in (
        'secret get', 'secret list', 'secret show', 'secret quota set', 'secret store',
        'secret store list', 'secret store set preferred', 'secret transport key get')
        if f'  {name}\n' not in said] == []


@with_both
def test_the_own_quotas_are_shown(openstack):
    quotas = shown(openstack('secret', 'quota', 'show', '-f', 'json'))
    assert quotas == dict.fromkeys(('secrets', 'orders', 'containers', 'consumers', 'cas'), -1)


@with_keystone
def test_an_admin_sets_and_unsets_the_quotas_of_a_project_by_its_name(km, openstack):
    def quotas(*arguments, **more):
        return openstack('secret', 'quota', *arguments, '--project', 'beta', who='admin', **more)

    assert 'Project quotas not found.' in quotas('show', status=1)
    assert quotas('set', '--secrets', '7', '--cas', '0') == ''
    assert shown(quotas('show', '-f', 'json')) == {
        'secrets': 7, 'orders': None, 'containers': None, 'consumers': None, 'cas': 0}
    own = shown(openstack('secret', 'quota', 'show', '-f', 'json', who='beta-member'))
    assert (own['secrets'], own['orders'], own['cas']) == (7, -1, 0)
    assert quotas('unset') == ''
    assert '(HTTP 404)' in quotas('unset', status=1)


@with_keystone
def test_a_member_may_not_set_quotas(openstack):
    said = openstack('secret', 'quota', 'set', '--secrets', '1', status=1)
    assert 'not allowed' in said
    assert '(HTTP 403)' in said


@standalone_only
def test_without_keystone_a_project_is_named_by_its_id(openstack):
    openstack('secret', 'quota', 'set', '--project', 'another', '--orders', '3')
    quotas = shown(openstack('secret', 'quota', 'show', '--project', 'another', '-f', 'json'))
    assert quotas['orders'] == 3
    openstack('secret', 'quota', 'unset', '--project', 'another')


@with_both
def test_stores_are_listed_and_one_is_preferred_by_name(openstack):
    (store,) = shown(openstack('secret', 'store', 'list', '-f', 'json'))
    assert (store['Name'], store['Global default']) == ('soft', True)

    def preferred(verb, *arguments, **more):
        return openstack('secret', 'store', verb, 'preferred', *arguments, who='alpha-admin', **more)

    assert 'No preferred secret store' in preferred('get', status=1)
    assert preferred('set', 'soft') == ''
    assert shown(preferred('get', '-f', 'json')) == store
    assert preferred('unset') == ''
    assert 'No preferred secret store' in preferred('unset', status=1)
    secret = openstack('secret', 'store', '-p', new_text(), '-f', 'value', '-c', 'Secret href').strip()
    assert openstack('secret', 'move', secret, 'soft', who='alpha-admin') == ''


@with_keystone
def test_an_admin_chooses_a_store_for_a_project_by_its_name(openstack):
    def preferred(verb, *arguments, **more):
        return openstack('secret', 'store', verb, 'preferred', *arguments, '--project', 'beta',
                         **{'who': 'admin', **more})

    preferred('set', 'soft')
    own = openstack('secret', 'store', 'get', 'preferred', '-f', 'json', who='beta-member')
    assert shown(own) == shown(preferred('get', '-f', 'json'))
    assert '(HTTP 403)' in preferred('set', 'soft', who='alpha-member', status=1)
    preferred('unset')
    assert '(HTTP 404)' in preferred('get', status=1)


@with_both
def test_the_transport_key_is_one_that_payloads_can_be_encrypted_with(openstack):
    pem = openstack('secret', 'transport', 'key', 'get', '-f', 'value', '-c', 'Transport key')
    assert serialization.load_pem_public_key(pem.encode()).key_size >= 2048
