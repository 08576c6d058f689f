# SPDX-License-Identifier: Apache-2.0
"""README's thirty-line plugin: held against the contract, and packaged and installed as a stranger's."""
import importlib.util
import json
import subprocess
import textwrap
from pathlib import Path

import pytest

from km.testing import open_plugin
from km.testing.secret_store import SecretStoreContract
from tests.contract.environment import with_package

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / 'tests' / 'plugin_package'
BEGIN = 'these lines are run by the tests:\n\n.. code-block:: python\n\n'

#: What a km in the fresh environment is asked to do.
SCRIPT = """
import json, sys
from pathlib import Path
from km.registry import installed
from km.testing.application import Client, a_deployment

folder = Path(sys.argv[1])
house = a_deployment(folder, {
    'secret_store': {'enabled': 'shelf', 'default': 'shelf'},
    'secret_store:shelf': {'plugin': 'folder', 'path': folder / 'shelf'}})
client = Client(house.application)
path = client.secret('kept by a stranger')
print(json.dumps({
    'read': client.get(path + '/payload').text,
    'package': {found.name: found.package for found in installed()}.get('folder'),
    'files': [file.read_text() for file in (folder / 'shelf').iterdir()]}))
client.delete(path)
assert not list((folder / 'shelf').iterdir())
house.close()
"""


def in_readme():
    """The plugin as README shows it."""
    block = (ROOT / 'README.rst').read_text().partition(BEGIN)[2]
    lines = []
    for line in block.splitlines():
        if line and not line.startswith('    '):
            break
        lines.append(line)
    return textwrap.dedent('\n'.join(lines)).strip() + '\n'


def test_readme_shows_the_plugin_that_is_tested_and_it_has_thirty_lines():
    text = in_readme()
    assert text == (PACKAGE / 'km_folder.py').read_text()
    assert len([line for line in text.splitlines() if line.strip()]) <= 30


class TestReadmePlugin(SecretStoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        spec = importlib.util.spec_from_file_location('km_folder', PACKAGE / 'km_folder.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return open_plugin(module.Folder, path=str(tmp_path / 'shelf'))


@pytest.fixture(scope='module')
def fresh(tmp_path_factory):
    return with_package(PACKAGE, tmp_path_factory.mktemp('fresh'))


def test_a_strangers_package_is_found_and_serves_a_secret(fresh, folder):
    ran = subprocess.run([fresh, '-c', SCRIPT, folder], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        'read': 'kept by a stranger', 'package': 'km-folder', 'files': ['kept by a stranger']}


def test_km_manage_lists_it_with_its_package(fresh, folder):
    script = ('import sys; from pathlib import Path; from km.cmd import manage; '
              'from km.testing.application import write_conf; '
              'conf = write_conf(Path(sys.argv[1])); '
              'manage.command(["--config-file", str(conf), "plugins"])')
    ran = subprocess.run([fresh, '-c', script, folder], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ['secret_store', 'folder', 'km-folder', '-', 'not', 'enabled'] in [
        line.split() for line in ran.stdout.splitlines()]
