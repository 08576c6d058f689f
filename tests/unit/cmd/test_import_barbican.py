# SPDX-License-Identifier: Apache-2.0
"""``km-manage import barbican``: where it looks for the database and the keys, and what it says."""
import base64

import pytest
from cryptography.fernet import Fernet

from km.barbican import tables
from km.cmd import manage, run
from km.testing.application import write_conf
from tests.unit.barbican.conftest import OldDatabase
from tests.unit.barbican.test_payloads import MASTER, PROJECT, SIMPLE, STORE

PAYLOAD = b'unmistakable payload'


@pytest.fixture
def old(folder):
    """A Barbican database with one secret."""
    old = OldDatabase(folder / 'barbican.sqlite')
    secret = old.add(tables.SECRETS, status='ACTIVE', secret_type='opaque', name='one',
                     project_id=old.add(tables.PROJECTS, external_id='alpha'))
    key = old.add(tables.KEK_DATA, plugin_name=SIMPLE, plugin_meta=Fernet(MASTER).encrypt(PROJECT))
    old.add(tables.ENCRYPTED_DATA, secret_id=secret, kek_id=key,
            cypher_text=base64.b64encode(Fernet(PROJECT).encrypt(PAYLOAD)))
    for name, value in STORE.items():
        old.add(tables.SECRET_STORE_METADATA, secret_id=secret, key=name, value=value)
    return old


@pytest.fixture
def imports(folder, capsys):
    """Runs the command; gives its exit status and what it said."""
    conf = write_conf(folder)
    manage.command(['--config-file', str(conf), 'db', 'upgrade'])

    def call(*arguments):
        capsys.readouterr()
        status = run(lambda: manage.command([
            '--config-file', str(conf), 'import', 'barbican', *map(str, arguments)]))
        said = capsys.readouterr()
        assert PAYLOAD.decode() not in said.out + said.err
        assert MASTER.decode() not in said.out + said.err
        return status, said.out + said.err

    return call


@pytest.fixture
def file(folder):
    """Makes a file; gives its path."""
    def make(content, name='file'):
        path = folder / name
        path.write_bytes(content)
        return path

    return make


def test_url_and_key_can_come_from_files_of_their_own(imports, old, file):
    where = file(f'{old.url}\n'.encode())
    kek = file(b'\n' + Fernet.generate_key() + b'\n' + MASTER + b'\n', 'barbican-kek')
    status, said = imports('--database-file', where, '--kek', kek, '--dry-run')
    assert status == 0
    assert "Payloads would go to the store 'soft'; this only looks." in said
    assert 'secrets: 1 in Barbican: 1 imported, 0 were there already' in said
    status, said = imports('--database-file', where, '--kek', kek)
    assert (status, '1 imported, 0 were there already' in said) == (0, True)
    status, said = imports('--database-file', where, '--kek', kek)
    assert (status, '0 imported, 1 were there already' in said) == (0, True)


def test_both_can_come_from_the_barbican_conf_which_options_override(imports, old, file):
    conf = file(f'[database]\nconnection = {old.url}\n[simple_crypto_plugin]\n'
                f'kek = {Fernet.generate_key().decode()}\nkek = {MASTER.decode()}\n'.encode())
    assert imports('--barbican-conf', conf)[0] == 0, imports('--barbican-conf', conf)
    other = file(Fernet.generate_key(), 'barbican-kek')
    assert "None of Barbican's 1 project keys" in imports('--barbican-conf', conf, '--kek', other)[1]


def test_a_key_that_is_missing_for_some_leaves_those_and_brings_the_others(imports, old, file):
    project = old.add(tables.PROJECTS, external_id='beta')
    lost = old.add(tables.SECRETS, status='ACTIVE', secret_type='opaque', project_id=project)
    key = old.add(tables.KEK_DATA, plugin_name=SIMPLE,
                  plugin_meta=Fernet(Fernet.generate_key()).encrypt(PROJECT))
    old.add(tables.ENCRYPTED_DATA, secret_id=lost, kek_id=key, cypher_text='AAAA')
    status, said = imports('--database', old.url, '--kek', file(MASTER))
    assert status == 1
    assert 'Project keys of Barbican: 1 open, 1 do not.' in said
    assert f"km: secret {lost}: its project's key opens under none of the master keys given." in said
    assert 'secrets: 2 in Barbican: 1 imported,' in said
    assert '1 are left.' in said


def test_what_is_wrong_is_said_in_a_line(imports, old, file):
    assert imports() == (1, 'km: Where is the Barbican database? Give --barbican-conf, '
                            '--database-file or --database.\n')
    url = ('--database', old.url)
    assert 'cannot be read: No such file' in imports(*url, '--kek', '/no/file')[1]
    assert 'is empty.' in imports(*url, '--kek', file(b' \n'))[1]
    assert 'is not text.' in imports(*url, '--kek', file(b'\xff'))[1]
    assert 'this is none.' in imports(*url, '--kek', file(b'no key'))[1]
    assert "The secret store 'other' is not enabled." in imports(
        *url, '--kek', file(MASTER), '--store', 'other')[1]
    assert 'Where is the Barbican database?' in imports('--barbican-conf', file(b'[DEFAULT]\n'))[1]
