# SPDX-License-Identifier: Apache-2.0
"""``examples/km-age``, which plugin authors copy: built, installed, tested and used as theirs."""
import ast
import configparser
import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.contract.environment import with_package

PACKAGE = Path(__file__).parents[2] / 'examples' / 'km-age'

#: What a km in the package's environment is asked to do.
SCRIPT = """
import json, sys
from pathlib import Path
from km.cmd import manage
from km.testing.application import Client, a_deployment

folder = Path(sys.argv[1])
(folder / 'age').mkdir(mode=0o700)
house = a_deployment(folder, {
    'secret_store': {'enabled': 'blue', 'default': 'blue'},
    'secret_store:blue': {'plugin': 'age', 'folder': folder / 'age', 'identity_file': sys.argv[2]},
    'certificate_authority': {'enabled': 'hosts'},
    'certificate_authority:hosts': {
        'plugin': 'age', 'identity_file': sys.argv[2], 'domains': 'example',
        'key_file': folder / 'key.age', 'certificate_file': folder / 'ca.pem',
        'database': folder / 'issued.sqlite'}})
client = Client(house.application)
path = client.secret('kept with age')
file, = (folder / 'age').glob('*/*')
manage.command(['--config-file', str(folder / 'km.conf'), 'plugins'])

def get(ref, more=''):
    return client.get(ref.removeprefix('http://km.test:9311') + more)

ordered = client.post('/v1/orders', {'type': 'certificate', 'meta': {
    'request_type': 'new-key', 'subject_dn': 'cn=www.example'}}).json['order_ref']
container = get(get(ordered).json['container_ref']).json
refs = {one['name']: one['secret_ref'] for one in container['secret_refs']}
print(json.dumps({
    'certificate': get(refs['certificate'], '/payload').text,
    'read': client.get(path + '/payload').text, 'sealed': file.read_bytes().hex(),
    'deleted': client.delete(path).status_int, 'left': file.exists()}))
house.close()
"""


@pytest.fixture(scope='module')
def python(tmp_path_factory):
    return with_package(PACKAGE, tmp_path_factory.mktemp('example'))


@pytest.fixture(scope='module')
def served(python, tmp_path_factory):
    """What a whole km with the package printed: the table of plugins, and what became of a secret; and
    what age makes of the file it was in."""
    folder = tmp_path_factory.mktemp('served')
    folder.chmod(0o700)
    identity = folder / 'identity'
    subprocess.run(['age-keygen', '--output', identity], check=True, capture_output=True)
    _make_authority(folder, identity)
    ran = subprocess.run([python, '-c', SCRIPT, folder, identity], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    *table, told = ran.stdout.splitlines()
    told = json.loads(told)
    opened = subprocess.run(['age', '--decrypt', '--identity', identity], capture_output=True,
                            input=bytes.fromhex(told.pop('sealed')), check=True)
    told['chain'] = str(folder / 'ca.pem')
    return table, told, opened.stdout


def _make_authority(folder, identity):
    """A key and its certificate, as the package's README has them made."""
    key, certificate = folder / 'key.pem', folder / 'ca.pem'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
                    '-nodes', '-keyout', key, '-out', certificate, '-subj', '/CN=Our hosts',
                    '-addext', 'keyUsage=critical,keyCertSign,cRLSign'], check=True, capture_output=True)
    subprocess.run(['age', '--encrypt', '--identity', identity, '--output', folder / 'key.age', key],
                   check=True)
    key.unlink()


def test_its_own_tests_pass_on_the_wheel_that_is_installed(python):
    source = python.parents[2] / 'source'
    ran = subprocess.run([python, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', source],
                         cwd=source / 'tests', capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
    assert int(re.search(r'(\d+) passed', ran.stdout)[1]) > 40
    assert 'skipped' not in ran.stdout
    where = subprocess.run([python, '-c', 'import km_age; print(km_age.__file__)'],
                           cwd=source / 'tests', capture_output=True, text=True).stdout
    assert Path(where.strip()).is_relative_to(python.parents[1])


def test_a_whole_km_serves_a_secret_with_it_and_erases_its_file(served):
    told = {name: served[1][name] for name in ('read', 'deleted', 'left')}
    assert told == {'read': 'kept with age', 'deleted': 204, 'left': False}


def test_openssl_verifies_a_certificate_that_a_whole_km_was_given_by_it(served):
    subprocess.run(['openssl', 'verify', '-x509_strict', '-verify_hostname', 'www.example',
                    '-purpose', 'sslserver', '-CAfile', served[1]['chain']],
                   input=served[1]['certificate'], text=True, check=True, capture_output=True)


def test_age_decrypts_what_a_whole_km_kept(served):
    assert served[2].endswith(b'}\nkept with age')


def test_km_manage_lists_it_with_its_package_and_what_its_check_said(served):
    store, authority = ([line.split() for line in served[0] if line.startswith(f'{kind} ')
                         and ' km-age ' in line] for kind in ('secret_store', 'certificate_authority'))
    assert [line[:4] for line in store] == [['secret_store', 'age', 'km-age', 'blue']]
    assert 'encrypting to age1' in ' '.join(store[0])
    assert [line[:4] for line in authority] == [['certificate_authority', 'age', 'km-age', 'hosts']]
    assert '0 certificates issued' in ' '.join(authority[0])


def imported():
    """Every module that the package's own code imports, apart from itself."""
    for path in (PACKAGE / 'km_age').glob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield node.module


def test_of_km_it_imports_the_interfaces_alone():
    assert {name for name in imported() if name.split('.')[0] == 'km'} == {'km.interfaces'}


def test_it_requires_all_that_it_imports():
    setup = configparser.ConfigParser()
    setup.read(PACKAGE / 'setup.cfg')
    required = {re.match(r'[\w.-]+', line)[0]
                for line in setup['options']['install_requires'].split('\n') if line}
    tops = {name.split('.')[0] for name in imported()} - {'km_age', *sys.stdlib_module_names}
    assert {packages_distributions()[top][0] for top in tops} == required
