# SPDX-License-Identifier: Apache-2.0
"""The examples in ``etc/km`` work as they are, but for ports, folders and programs of this machine."""
import configparser
import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import requests

from km.conf.load import load
from km.deploy import database
from km.testing.application import write_conf
from tests.functional.km_server import ends_cleanly, environment, program
from tests.functional.servers import HOST, http_answers, reserved_port, running, wait_until

EXAMPLES = Path(__file__).parents[2] / 'etc' / 'km'
UNITS = sorted((EXAMPLES / 'systemd').glob('*.service'))
COMMANDS = {'gunicorn.conf.py': ('gunicorn', '--config'), 'uwsgi.ini': ('uwsgi', '--ini')}
PROCESSES = 4
WHO = {'X-Project-Id': 'alpha', 'X-User-Id': 'ann', 'X-Roles': 'member'}


def loaded(example, log):
    """Whether each process has km. uWSGI answers when the first does, and calls it a failure to end
    before all do."""
    return example != 'uwsgi.ini' or log.read_text().count('WSGI app 0') == PROCESSES


@contextlib.contextmanager
def serving(example, folder):
    """A server of another make, configured by an example; its process and URL."""
    folder.chmod(0o700)
    conf = write_conf(folder)
    metadata = database(load(files=[str(conf)]))
    metadata.upgrade()
    metadata.close()
    with reserved_port() as port:
        pass  # uWSGI cannot bind one that is reserved
    text = (EXAMPLES / example).read_text()
    assert '127.0.0.1:9311' in text
    (folder / example).write_text(text.replace('127.0.0.1:9311', f'{HOST}:{port}'))
    name, option = COMMANDS[example]
    log = folder / 'server.log'
    with running([program(name), option, str(folder / example)], log,
                 env=environment(KM_CONF=str(conf))) as process:
        wait_until(lambda: http_answers(port, '/readiness') and loaded(example, log), process, log)
        yield process, f'http://{HOST}:{port}'


@pytest.mark.parametrize('example', COMMANDS)
def test_km_works_in_a_server_of_another_make_and_ends_in_order(example, tmp_path):
    with serving(example, tmp_path) as (process, url):
        made = requests.post(f'{url}/v1/secrets', headers=WHO, timeout=10, json={
            'payload': 'x', 'payload_content_type': 'text/plain'})
        assert made.status_code == 201, made.text
        path = made.json()['secret_ref'].partition('/v1/')[2]
        for _ in range(20):  # so that each process has its turn
            found = requests.get(f'{url}/v1/{path}/payload', headers=WHO, timeout=10)
            assert (found.status_code, found.text) == (200, 'x')
        assert ends_cleanly(process)


@pytest.mark.parametrize('unit', UNITS, ids=lambda unit: unit.name)
def test_systemd_knows_every_line_of_a_unit(unit, tmp_path):
    if not shutil.which('systemd-analyze'):
        pytest.skip('there is no systemd-analyze')
    executable = tmp_path / unit.stem
    executable.write_text('#!/bin/sh\n')
    executable.chmod(0o755)
    text = unit.read_text()
    assert f'ExecStart=/usr/bin/{unit.stem} ' in text
    (tmp_path / unit.name).write_text(text.replace(f'/usr/bin/{unit.stem}', str(executable)))
    said = subprocess.run(
        ['systemd-analyze', 'verify', '--man=no', str(tmp_path / unit.name)],
        capture_output=True, text=True, env=os.environ | {'SYSTEMD_LOG_LEVEL': 'warning'})
    assert [line for line in said.stderr.splitlines() if unit.name in line] == []


@pytest.mark.parametrize('unit', UNITS, ids=lambda unit: unit.name)
def test_a_unit_keeps_memory_off_the_disk_and_the_process_in_its_room(unit):
    read = configparser.RawConfigParser(strict=False)
    read.optionxform = str
    read.read(unit)
    assert {name: read['Service'].get(name) for name in (
        'LimitCORE', 'MemorySwapMax', 'NoNewPrivileges', 'ProtectSystem', 'PrivateTmp', 'UMask', 'User',
    )} == {'LimitCORE': '0', 'MemorySwapMax': '0', 'NoNewPrivileges': 'yes', 'ProtectSystem': 'strict',
           'PrivateTmp': 'yes', 'UMask': '0027', 'User': 'km'}
