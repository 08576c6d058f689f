# SPDX-License-Identifier: Apache-2.0
"""The stock ``openstack`` command, with an empty home and nothing but the quick start's openrc."""
import json
import os
import subprocess

import pytest

from tests.functional.assertions import standalone_only
from tests.functional.km_server import MARK, environment, new_text, program

pytestmark = standalone_only


@pytest.fixture(scope='module')
def shell(km, tmp_path_factory):
    """Runs commands in a shell that has sourced openrc; gives what they print."""
    home = tmp_path_factory.mktemp('home')

    def run(line, status=0):
        done = subprocess.run(
            ['bash', '-ec', f'. {km.conf.parent}/openrc\n{line}'], cwd=home, capture_output=True,
            text=True, env={'HOME': str(home), 'PATH': os.path.dirname(program('openstack'))
                            + ':' + environment()['PATH']})
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout or done.stderr

    return run


def stored(shell, arguments):
    """The reference of a new secret."""
    return json.loads(shell(f'openstack secret store {arguments} -f json'))['Secret href']


def test_a_first_secret_is_stored_listed_read_shared_and_deleted(km, shell, tmp_path):
    payload = km.hide(rf'{new_text()}  two  spaces\n')
    ref = stored(shell, f"-n demo -p '{payload}'")
    assert ref.startswith(f'{km.url}/v1/secrets/')
    assert km.get(ref + '/payload').text == payload
    listed = json.loads(shell('openstack secret list -n demo -f json'))
    assert ref in [secret['Secret href'] for secret in listed]
    shown = json.loads(shell(f'openstack secret get {ref} -f json'))
    assert (shown['Name'], shown['Status'], shown['Algorithm']) == ('demo', 'ACTIVE', 'aes')
    assert shell(f'openstack secret get --payload {ref} -f value') == payload + '\n'
    shell(f'openstack secret get --file {tmp_path}/payload {ref}')
    assert (tmp_path / 'payload').read_text() == payload
    shell(f'openstack acl user add --user bob --operation-type read {ref}')
    acl = shell(f'openstack acl get {ref}')
    assert "['bob']" in acl
    shell(f'openstack acl user remove --user bob --operation-type read {ref}')
    shell(f'openstack secret delete {ref}')
    assert km.get(ref).status_code == 404
    assert 'Not Found' in shell(f'openstack secret get {ref}', status=1)


def test_bytes_go_in_and_out_through_files(km, shell, tmp_path):
    payload = km.hide(os.urandom(32))
    (tmp_path / 'in').write_bytes(payload)
    ref = stored(shell, f'--file {tmp_path}/in -s symmetric')
    shell(f"openstack secret get --file {tmp_path}/out -t 'application/octet-stream' {ref}")
    assert (tmp_path / 'out').read_bytes() == payload
    assert km.get(ref, Accept='application/octet-stream').content == payload


def test_a_payload_is_given_later(km, shell):
    ref, payload = stored(shell, '-n later'), km.hide(new_text())
    shell(f"openstack secret update {ref} '{payload}'")
    assert km.get(ref + '/payload').text == payload


def test_a_wrong_password_is_said_to_be_one(shell):
    told = shell('export OS_PASSWORD=wrong; openstack secret list', status=1)
    assert 'Traceback' not in told
    assert '401' in told or 'requires authentication' in told or 'required' in told
    assert MARK not in told
