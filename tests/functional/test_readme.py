# SPDX-License-Identifier: Apache-2.0
"""README's second five minutes, as they stand there: a certificate, checked with openssl."""
import re
import subprocess
from pathlib import Path

from tests.functional import km_server
from tests.functional.km_server import environment, program

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r'Five more to a certificate\n=+\n.*?::\n\n(.*?)\n\n\S', re.DOTALL)


def commands():
    """The lines of the block, without the two that set a shell up."""
    lines = [line.strip() for line in _BLOCK.search((ROOT / 'README.rst').read_text())[1].splitlines()]
    assert [line.split()[0] for line in lines[:2]] == ['pip', '.']
    return lines[2:]


def test_the_second_five_minutes_end_with_a_certificate_that_openssl_verifies(folder):
    with km_server.standalone(folder / 'quickstart') as km:
        shell = environment(**{name: value.strip("'") for name, value in km.openrc().items()})
        said, certificate_id = '', None
        for written in commands():
            line = re.sub(r'\bID\b', certificate_id or 'ID',
                          written.replace('openstack ', f'{program("openstack")} '))
            done = subprocess.run(line, shell=True, env=shell, cwd=folder, capture_output=True,
                                  text=True, timeout=60, check=False)
            assert done.returncode == 0, f'{line}: {done.stdout}{done.stderr}'
            said += done.stdout
            if 'certificate list' in line:
                certificate_id = re.search(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', done.stdout)[0]
        km.close()
    assert said.endswith('cert.pem: OK\n')
    assert 'PRIVATE KEY' not in said
