# SPDX-License-Identifier: Apache-2.0
"""Schemathesis, with all its checks, finds nothing in what km answers to what its document allows.

That takes about 90 seconds and the standalone km. ``KM_FUZZ_SECONDS``, which ``tox -e fuzz`` sets, is
for longer: so long for each deployment, and from another seed each time.
"""
import os
import re
import subprocess
from pathlib import Path

import pytest
import requests

from tests.functional import km_server

ROOT = Path(__file__).parents[2]
SECONDS = int(os.environ.get('KM_FUZZ_SECONDS', '0'))
#: How many of the document's links a run follows at least: ids of what was made reach what uses them.
LEAST_LINKS = 20
#: Who asks, by deployment.
WHO = {
    'standalone': '[auth.openapi.basic]\nusername = "admin"\npassword = "${KM_CREDENTIAL}"\n',
    'keystone': '[auth.openapi.token]\napi_key = "${KM_CREDENTIAL}"\n'}


@pytest.fixture(params=['standalone', *(['keystone'] if SECONDS else [])])
def own_km(request, folder):
    """A km of this test's own, in which anything may be changed."""
    if request.param == 'standalone':
        deployment = km_server.standalone(folder / 'quickstart')
    else:
        deployment = km_server.behind_keystone(folder, *map(
            request.getfixturevalue, ('postgresql', 'keystone')), name='schemathesis')
    with deployment as running:
        yield running
        assert km_server.ends_cleanly(running.process), running.log_tail()
    assert not running.leaks()
    assert 'Traceback' not in running.log.read_text(errors='replace')


def schemathesis(km, folder):
    """What a run of Schemathesis says, and its exit status."""
    conf = folder / 'schemathesis.toml'
    conf.write_text(Path(__file__).with_name('schemathesis.toml').read_text() + WHO[km.deployment])
    credential = (km.credentials('alpha-admin')['X-Auth-Token'] if km.keystone
                  else km.openrc()['OS_PASSWORD'])
    done = subprocess.run(
        [km_server.program('schemathesis'), '--config-file', conf, 'run', f'{km.url}/openapi.json',
         '--phases', 'examples,coverage,fuzzing,stateful', '--no-color',
         '--max-time', str(SECONDS or 90), *([] if SECONDS else ['--seed', '1'])],
        cwd=folder, env=os.environ | {'KM_CREDENTIAL': credential, 'PYTHONPATH': str(ROOT)},
        capture_output=True, text=True)
    return done.stdout + done.stderr, done.returncode


def test_schemathesis_finds_nothing(own_km, folder):
    document = requests.get(f'{own_km.url}/openapi.json', timeout=10).json()
    operations = sum(method != 'parameters' for path in document['paths'].values() for method in path)
    said, status = schemathesis(own_km, folder)
    print(said)
    assert status == 0
    assert f'Tested: {operations}\n' in said
    assert int(re.search(r'API Links: +(\d+) covered', said)[1]) >= LEAST_LINKS
