# SPDX-License-Identifier: Apache-2.0
"""``km-status upgrade check``, as an operator or a deployment tool calls it."""
import json

import pytest

from km.cmd import status
from km.conf.load import load
from km.deploy import database
from km.plugins.secret_store import key_file, key_ring
from km.plugins.secret_store.key_ring import Ring
from km.testing.application import write_conf

SUCCESS, WARNING, FAILURE = 0, 1, 2


@pytest.fixture
def check(folder, capsys):
    """Runs the check on the folder's km.conf, given sections to change; the exit status and, for each
    check that has something to say, what that is."""
    def check(sections=None):
        conf = write_conf(folder, sections)
        code = status.command(['--config-file', str(conf), 'upgrade', 'check', '--json'])
        told = json.loads(capsys.readouterr().out)
        assert code == max(row['result'] for row in told['checks'])
        return code, {row['check']: row['details'] for row in told['checks'] if row['result']}

    return check


@pytest.fixture(autouse=True)
def metadata(folder):
    """The folder's metadata database, upgraded."""
    metadata = database(load(files=[str(write_conf(folder))]))
    metadata.upgrade()
    yield metadata
    metadata.close()


def test_a_km_that_would_start_passes(check):
    assert check() == (SUCCESS, {})


def test_people_get_a_table(folder, capsys):
    assert status.command(
        ['--config-file', str(write_conf(folder)), 'upgrade', 'check']) == SUCCESS
    said = capsys.readouterr().out
    assert '| Upgrade Check Results ' in said
    for name in ('Database schema', 'Policy file', 'Plugins', 'Key files', 'Configuration files'):
        assert f'Check: {name} ' in said
    assert said.count('Result: Success') == 5


def test_a_schema_that_is_not_this_kms_fails(check, metadata):
    with metadata.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'another'")
    code, told = check()
    assert code == FAILURE
    assert 'another' in told['Database schema']


def test_an_empty_database_fails_with_the_command_to_run(check, folder):
    code, told = check({'database': {'connection': f'sqlite:///{folder}/empty.sqlite'}})
    assert code == FAILURE
    assert 'km-manage db upgrade' in told['Database schema']


def test_a_database_that_does_not_answer_fails_without_its_password(check):
    url = 'postgresql+psycopg://km:hidden@127.0.0.1:1/km'
    code, told = check({'database': {'connection': url}})
    assert code == FAILURE
    assert 'does not answer' in told['Database schema']
    assert 'hidden' not in str(told)


@pytest.mark.parametrize(('name', 'text', 'said'), [
    ('policy.json', '{"secret:get": "role:admin"}', 'JSON'),
    ('policy.yaml', '"secret:gett": "role:admin"\n', 'secret:gett'),
    ('policy.yaml', '"secret:get": "rule:nowhere"\n', 'secret:get'),
    ('policy.yaml', '- a\n- list\n', 'policy_file'),
    ('absent.yaml', None, 'absent.yaml')])
def test_a_policy_file_that_km_cannot_use_fails(check, folder, name, text, said):
    if text:
        (folder / name).write_text(text)
    code, told = check({'oslo_policy': {'policy_file': folder / name}})
    assert code == FAILURE
    assert list(told) == ['Policy file']
    assert said in told['Policy file']


def test_a_policy_file_of_known_actions_passes(check, folder):
    (folder / 'policy.yaml').write_text('"secret:get": "rule:cautious"\n"cautious": "role:admin"\n')
    assert check({'oslo_policy': {'policy_file': folder / 'policy.yaml'}}) == (SUCCESS, {})


def test_a_rule_that_nothing_refers_to_is_a_warning(check, folder):
    (folder / 'policy.yaml').write_text('"secret_project_mach": "role:admin"\n')
    code, told = check({'oslo_policy': {'policy_file': folder / 'policy.yaml'}})
    assert code == WARNING
    assert 'secret_project_mach' in told['Policy file']


def test_a_plugin_that_is_not_installed_fails(check):
    code, told = check({'secret_store:soft': {'plugin': 'quantum'}})
    assert code == FAILURE
    assert "'quantum' is not installed" in told['Plugins']


def test_a_plugin_that_does_not_work_fails(check):
    code, told = check({'secret_store:soft': {
        'connection': 'postgresql+psycopg://km:hidden@127.0.0.1:1/soft'}})
    assert code == FAILURE
    assert 'secret_store:soft' in told['Plugins']
    assert 'hidden' not in str(told)


def test_a_key_file_that_others_may_read_fails(check, folder):
    (folder / 'kek').chmod(0o644)
    code, told = check()
    assert code == FAILURE
    assert '0400' in told['Key files']


def test_a_key_file_with_several_keys_passes(check, folder):
    key_ring.change(str(folder / 'kek'), lambda ring: Ring(ring.keys, key_file.new()))
    key_ring.change(str(folder / 'kek'), lambda ring: Ring((key_file.new(), *ring.all)))
    assert check() == (SUCCESS, {})


def test_a_km_conf_that_everybody_may_read_is_a_warning(folder):
    path = write_conf(folder)
    path.chmod(0o644)
    assert status.command(['--config-file', str(path), 'upgrade', 'check']) == WARNING


def test_a_configuration_that_cannot_be_read_is_one_line_and_a_failure(folder, capsys):
    conf = write_conf(folder, {'api': {'bind_port': 'ten'}})
    for path in (conf, folder / 'none.conf'):
        assert status.command(['--config-file', str(path), 'upgrade', 'check']) == FAILURE
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith('km: ')
