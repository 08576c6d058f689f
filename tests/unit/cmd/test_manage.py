# SPDX-License-Identifier: Apache-2.0
"""``km-manage``, as an operator calls it."""
import json
import sqlite3
import stat
import uuid
from datetime import datetime

import pytest

from km.api import openapi
from km.cmd import manage, run
from km.interfaces import StoreRequest
from km.plugins.secret_store import key_file, key_ring
from km.testing.application import Client, a_deployment, write_conf


@pytest.fixture
def manage_km(folder):
    """Runs a command with the folder's km.conf; gives the exit status."""
    conf = write_conf(folder)

    def call(*arguments):
        return run(lambda: manage.command(['--config-file', str(conf), *arguments]))

    return call


def test_the_database_is_checked_upgraded_and_told(manage_km, capsys):
    assert manage_km('db', 'check') == 1
    assert 'Run "km-manage db upgrade"' in capsys.readouterr().err
    assert manage_km('db', 'current') == 0
    assert capsys.readouterr().out == 'empty\n'
    assert manage_km('db', 'upgrade') == 0
    assert manage_km('db', 'check') == 0
    assert manage_km('db', 'current') == 0
    assert capsys.readouterr().out.splitlines()[-1] == '0005'


def test_plugins_are_listed_with_package_name_and_state(manage_km, folder, capsys):
    assert manage_km('plugins') == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ['KIND', 'PLUGIN', 'PACKAGE', 'ENABLED', 'AS', 'STATE']
    fingerprint = key_file.read(str(folder / 'kek')).fingerprint
    assert any(line.split()[:4] == ['secret_store', 'simple_crypto', 'km', 'soft']
               and line.endswith(f'sealing under master key {fingerprint}') for line in lines)
    assert any(line.split()[:3] == ['rpc_transport', 'embedded', 'km'] for line in lines)


def test_a_plugin_that_does_not_work_is_said_to_and_the_command_fails(manage_km, folder, capsys):
    (folder / 'kek').chmod(0o644)
    assert manage_km('plugins') == 1
    assert 'FAILED: [secret_store:soft] kek_file' in capsys.readouterr().out


def test_a_sweep_can_be_had_at_once(manage_km, folder, clock, capsys):
    house = a_deployment(folder, clock=clock)
    clock.forward(days=-3650)
    Client(house.application).secret(expiration='2021-01-01')
    house.close()
    assert manage_km('sweep') == 0
    assert '1 expired, 0 ended, 0 failed, 0 orders tried, ' in capsys.readouterr().out


def test_orders_that_ended_long_ago_are_cleaned_and_what_they_made_stays(
        manage_km, folder, clock, capsys):
    house = a_deployment(folder, clock=clock)
    ann = Client(house.application)
    clock.now = datetime.now()
    order = {'type': 'key', 'meta': {'algorithm': 'aes', 'bit_length': 256}}
    ann.post('/v1/orders', order)
    clock.forward(days=-100)
    for _ in range(101):
        ann.post('/v1/orders', order)
    assert manage_km('db', 'clean', '--min-days', '101') == 0
    assert manage_km('db', 'clean') == 0
    assert capsys.readouterr().out == '0 orders deleted.\n101 orders deleted.\n'
    assert ann.get('/v1/orders').json['total'] == 1
    assert ann.get('/v1/secrets').json['total'] == 102
    house.close()


@pytest.mark.parametrize('days', ['soon', '-1', '1e3', '99999'])
def test_a_number_of_days_that_is_none_is_refused(manage_km, days, capsys):
    with pytest.raises(SystemExit):
        manage_km('db', 'clean', f'--min-days={days}')
    assert '--min-days' in capsys.readouterr().err


def test_differences_between_stores_and_metadata_are_told_and_mended(manage_km, folder, capsys):
    house = a_deployment(folder)
    path = Client(house.application).secret()
    store, secret_id = house.registry.secret_stores['soft'], str(uuid.uuid4())
    store.store(StoreRequest(secret_id=secret_id, project_id='alpha', payload=b'x'))
    assert manage_km('reconcile') == 1
    assert f'soft: {secret_id} is in the store and has no row\n' in capsys.readouterr().out
    assert manage_km('reconcile', '--fix') == 0
    assert manage_km('reconcile') == 0
    assert capsys.readouterr().out.endswith('\n0 differences, 0 left.\n')
    assert Client(house.application).get(path + '/payload').status_int == 200
    house.close()


def test_rewrapping_says_how_many_keys_it_moved(manage_km, folder, capsys):
    house = a_deployment(folder)
    Client(house.application).secret()
    house.close()
    key_file.create(str(folder / 'newer'))
    write_conf(folder, {'secret_store:soft': {'kek_file': f'{folder}/newer, {folder}/kek'}})
    assert manage_km('rewrap', 'soft') == 0
    assert '1 project keys' in capsys.readouterr().out
    assert manage_km('rewrap', 'hard') == 1
    assert "'hard' is no enabled store" in capsys.readouterr().err


def test_a_master_key_is_staged_rotated_and_retired(manage_km, folder, capsys):
    house = a_deployment(folder)
    path = Client(house.application).secret()
    old, = key_ring.read(str(folder / 'kek')).keys
    assert manage_km('kek', 'stage', 'soft') == 0
    staged = key_ring.read(str(folder / 'kek')).staged
    assert f'master key {staged.fingerprint} is staged' in capsys.readouterr().out
    assert manage_km('kek', 'rotate', 'soft') == 0
    assert f'1 project keys are under the new master key {staged.fingerprint}' in (
        capsys.readouterr().out)
    assert key_ring.read(str(folder / 'kek')).keys == (staged, old)
    assert manage_km('kek', 'retire', 'soft') == 0
    assert f'1 master keys retired: {old.fingerprint}.' in capsys.readouterr().out
    assert manage_km('kek', 'retire', 'soft') == 0
    assert key_ring.read(str(folder / 'kek')).keys == (staged,)
    assert Client(house.application).get(path + '/payload').text == 'a payload'
    house.close()


def test_other_files_of_master_keys_are_let_be_when_keys_retire(manage_km, folder, capsys):
    key_file.create(str(folder / 'newer'))
    write_conf(folder, {'secret_store:soft': {'kek_file': f'{folder}/newer, {folder}/kek'}})
    assert manage_km('kek', 'retire', 'soft') == 0
    assert f'{folder}/kek: needed no more; take it out of kek_file' in capsys.readouterr().out
    assert key_ring.read(str(folder / 'kek'))


def test_master_keys_of_a_store_without_are_not_replaced(manage_km, capsys):
    for command in ('stage', 'rotate', 'retire'):
        assert manage_km('kek', command, 'hard') == 1
        assert "'hard' is no enabled store" in capsys.readouterr().err


def test_a_key_is_made_private_and_told_by_its_fingerprint_only(manage_km, folder, capsys):
    path = folder / 'another'
    assert manage_km('kek', 'create', str(path)) == 0
    said = capsys.readouterr().out
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert key_file.read(str(path)).fingerprint in said
    assert path.read_text().split()[2] not in said
    assert manage_km('kek', 'create', str(path)) == 1


def test_a_missing_file_is_named(folder, capsys):
    missing = str(folder / 'none.conf')
    assert run(lambda: manage.command(['--config-file', missing, 'db', 'check'])) == 1
    assert missing in capsys.readouterr().err


def test_a_missing_option_is_named(folder, capsys):
    conf = folder / 'empty.conf'
    conf.write_text('')
    assert run(lambda: manage.command(['--config-file', str(conf), 'db', 'check'])) == 1
    said = capsys.readouterr().err
    assert 'connection' in said
    assert 'database' in said


def test_a_barbican_conf_is_imported_to_stdout_and_warned_of_on_stderr(manage_km, folder, capsys):
    old = folder / 'barbican.conf'
    old.write_text('[DEFAULT]\nhost_href = https://keys.example.org\ndb_auto_create = True\n'
                   '[simple_crypto_plugin]\nkek = aGlkZGVu\n')
    assert manage_km('conf', 'import', str(old)) == 0
    printed, warned = capsys.readouterr()
    assert '[api]\nhost_href = https://keys.example.org\n' in printed
    assert 'km: [DEFAULT] db_auto_create: ' in warned
    assert 'aGlkZGVu' not in printed + warned


@pytest.mark.parametrize('text', [None, 'kek = aGlkZGVu\n'])
def test_what_cannot_be_imported_is_one_sentence(manage_km, folder, capsys, text):
    old = folder / 'barbican.conf'
    if text:
        old.write_text(text)
    assert manage_km('conf', 'import', str(old)) == 1
    printed, warned = capsys.readouterr()
    assert printed == ''
    (line,) = warned.splitlines()
    assert str(old) in line
    assert 'aGlkZGVu' not in line


def test_a_transport_key_is_rotated(manage_km, capsys):
    manage_km('db', 'upgrade')
    capsys.readouterr()
    assert manage_km('transport-key', 'rotate') == 0
    first = capsys.readouterr().out
    assert first.startswith('The current transport key is ')
    assert manage_km('transport-key', 'rotate') == 0
    assert capsys.readouterr().out != first


def test_the_description_of_the_api_can_be_had_without_a_km(tmp_path, capsys):
    manage.command(['--config-file', str(tmp_path / 'none'), 'openapi'])
    assert json.loads(capsys.readouterr().out) == openapi.document()


@pytest.fixture
def two_stores(folder):
    """A km with two stores, whose first one has some secrets of two projects; and the command."""
    key_file.create(str(folder / 'kek2'))
    sections = {
        'secret_store': {'enabled': 'soft, second', 'default': 'soft'},
        'secret_store:second': {'plugin': 'simple_crypto', 'kek_file': folder / 'kek2',
                                'connection': f'sqlite:///{folder}/second.sqlite'}}
    house = a_deployment(folder, sections)
    yield [Client(house.application, project_id=project) for project in ('alpha', 'beta')]
    house.close()


@pytest.fixture
def manage_two(folder, two_stores):
    """Runs a command with the km.conf of ``two_stores``."""
    return lambda *arguments: run(lambda: manage.command(
        ['--config-file', str(folder / 'km.conf'), *arguments]))


MOVE = ('secrets', 'move', '--from', 'soft', '--to', 'second')


def test_payloads_are_moved_while_km_serves(two_stores, manage_two, capsys):
    ann, bob = two_stores
    paths = [ann.secret(f'payload {number}') for number in range(3)]
    bob.secret()
    assert manage_two(*MOVE, '--dry-run') == 0
    assert manage_two(*MOVE, '--project', 'alpha') == 0
    assert [ann.get(path + '/payload').text for path in paths] == [
        f'payload {number}' for number in range(3)]
    assert manage_two(*MOVE, '--per-second', '1000') == 0
    assert manage_two('reconcile') == 0
    assert capsys.readouterr().out.splitlines() == [
        "4 secrets would move from 'soft' to 'second'.",
        "3 secrets were in 'soft': 3 are in 'second' now, 0 are left in 'soft'.",
        "1 secrets were in 'soft': 1 are in 'second' now, 0 are left in 'soft'.",
        '0 differences, 0 left.']


def test_a_payload_that_cannot_be_moved_is_named_and_the_command_fails(
        two_stores, manage_two, folder, capsys):
    path = two_stores[0].secret()
    with sqlite3.connect(folder / 'soft.sqlite') as ciphertext:
        ciphertext.execute("UPDATE blobs SET blob = x'00'")
    assert manage_two(*MOVE) == 1
    said = capsys.readouterr()
    secret_id = path.rpartition('/')[2]
    assert said.err == f'km: {secret_id} stays: The stored secret does not open: it was cut short.\n'
    assert "1 are left in 'soft'" in said.out


def test_what_a_killed_move_did_not_erase_is_told_and_the_command_fails(
        two_stores, manage_two, folder, capsys):
    path = two_stores[0].secret()
    assert manage_two(*MOVE) == 0
    with sqlite3.connect(folder / 'km.sqlite') as metadata:  # as a process leaves it that is killed
        metadata.execute("UPDATE secrets SET other_store = 'soft', intent = 'x', intent_at = updated "
                         'WHERE id = ?', (path.rpartition('/')[2],))
    assert manage_two(*MOVE) == 1
    assert capsys.readouterr().out.splitlines()[1:] == [
        "0 secrets were in 'soft': 0 are in 'second' now, 0 are left in 'soft'.",
        "1 others are still to be erased in 'soft': the sweep does that."]


def test_moving_to_where_it_is_or_to_no_store_is_refused(manage_two, capsys):
    assert manage_two('secrets', 'move', '--from', 'soft', '--to', 'soft') == 1
    assert manage_two('secrets', 'move', '--from', 'soft', '--to', 'hard') == 1
    assert capsys.readouterr().err.splitlines() == [
        "km: --from and --to are both 'soft'.", "km: The secret store 'hard' is not enabled."]
