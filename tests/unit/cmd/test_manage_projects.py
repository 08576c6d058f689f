# SPDX-License-Identifier: Apache-2.0
"""``km-manage rekey``, and the pace of long work."""
import io
import sqlite3
import sys

import pytest

from km.cmd import manage, run
from km.cmd.manage.progress import Progress
from km.testing.application import Client, a_deployment


@pytest.fixture
def manage_km(folder, house):
    """Runs a command beside the km that serves."""
    return lambda *arguments: run(lambda: manage.command(
        ['--config-file', str(folder / 'km.conf'), *arguments]))


def generations(folder):
    with sqlite3.connect(folder / 'soft.sqlite') as ciphertext:
        return ciphertext.execute(
            "SELECT count(*) FROM project_keys WHERE project_id = 'alpha'").fetchone()[0]


def test_a_project_gets_new_keys_while_km_serves(manage_km, ann, folder, capsys):
    paths = [ann.secret(f'payload {number}') for number in range(3)]
    assert manage_km('rekey', 'alpha', '--dry-run') == 0
    assert generations(folder) == 1
    assert manage_km('rekey', 'alpha', '--per-second', '1000') == 0
    assert generations(folder) == 2
    assert manage_km('rekey', 'alpha', '--destroy-old-keys') == 0
    assert generations(folder) == 1
    assert [ann.get(path + '/payload').text for path in paths] == [
        f'payload {number}' for number in range(3)]
    assert capsys.readouterr().out.splitlines() == [
        '3 payloads would be sealed anew.',
        'There were 3 payloads; 3 are sealed under new keys now.',
        'There were 3 payloads; 3 are sealed under new keys now.',
        '2 old keys are destroyed.']


def test_master_keys_can_be_tried_without_being_replaced(manage_km, ann, capsys):
    ann.secret()
    assert manage_km('kek', 'rotate', 'soft', '--dry-run') == 0
    assert manage_km('rewrap', 'soft', '--dry-run') == 0
    assert capsys.readouterr().out.splitlines() == [
        "The project keys of 'soft' would be sealed under a new master key.",
        '0 project keys would be sealed under the newest master key.']


def test_long_work_says_how_far_it_is_in_lines_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr('km.cmd.manage.progress._LINE_SECONDS', 0)
    with Progress('secrets', total=3) as progress:
        progress.step()
        progress.step(2)
    assert capsys.readouterr().err.splitlines() == ['1 of 3 secrets', '3 of 3 secrets']


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_long_work_is_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, 'stderr', Terminal())
    with Progress('secrets', total=3) as progress:
        progress.step(3)
    assert '/3 ' in sys.stderr.getvalue()


@pytest.mark.parametrize('pace', ['0', '-1', 'nan', 'much'])
def test_a_pace_that_is_none_is_refused(manage_km, pace, capsys):
    with pytest.raises(SystemExit):
        manage_km('rekey', 'alpha', '--per-second', pace)


def test_a_pace_is_kept(monkeypatch):
    slept = []
    monkeypatch.setattr('time.sleep', slept.append)
    with Progress('secrets', total=3, per_second=10) as progress:
        for _ in range(3):
            progress.step()
    assert 0.2 < slept[-1] <= 0.3


def test_a_km_that_serves_seals_under_the_new_key_at_once(manage_km, folder, house):
    ann = Client(house.application)
    before = ann.secret('before')
    manage_km('rekey', 'alpha', '--destroy-old-keys')
    after = ann.secret('after')
    assert [ann.get(path + '/payload').text for path in (before, after)] == ['before', 'after']
    other = a_deployment(folder)
    assert Client(other.application).get(after + '/payload').text == 'after'
    other.close()
