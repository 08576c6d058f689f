# SPDX-License-Identifier: Apache-2.0
"""``km-manage``, as an operator calls it."""
import stat

import pytest

from km.cmd import manage, run
from km.plugins.secret_store import key_file
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
    assert capsys.readouterr().out.splitlines()[-1] == '0002'


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
    assert '1 expired, 0 ended, 0 failed.' in capsys.readouterr().out


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
