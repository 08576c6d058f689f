# SPDX-License-Identifier: Apache-2.0
"""A real Barbican, filled through its API, comes into a km that then answers as it did."""
import contextlib
import re
import subprocess
from types import SimpleNamespace

import pytest
from cryptography.fernet import Fernet

from km.cmd import manage
from tests.functional.barbican_contents import ANN, fill, imported, shown, text
from tests.functional.barbican_server import barbican as run_barbican
from tests.functional.km_server import MARK, environment, program, standalone
from tests.functional.open_km import believing_all, forked, kill, victims_conf
from tests.functional.stops import BEFORE, COMMITTED, DONE, Step, Stops

#: Where an import is killed, one run after the other; rows counted in each.
KILLS = (
    Step('some intents', DONE, 'INSERT', 'secrets', 50),
    Step('half of the first page stored', BEFORE, 'INSERT', 'blobs', 50),
    Step('the outcomes of a page', COMMITTED, 'UPDATE', 'secrets', 60),
    Step('half of another page stored', DONE, 'INSERT', 'blobs', 40),
    Step('the second container', BEFORE, 'INSERT', 'containers', 2),
)

BARBICANS = 'sqlite', 'mariadb'


def on(*kinds):
    """Test with Barbicans whose databases are of these kinds."""
    return pytest.mark.parametrize('barbican', kinds, indirect=True, scope='module')


@pytest.fixture(scope='module')
def barbican(request, tmp_path_factory):
    """A Barbican with some of everything; ``contents`` is what."""
    folder = tmp_path_factory.mktemp('barbican')
    url = f'sqlite:///{folder}/barbican.sqlite'
    if request.param == 'mariadb':
        url = request.getfixturevalue('mariadb').create_database('barbican')
    kek = Fernet.generate_key().decode()
    many = 70 if request.param == 'sqlite' else 0  # with the others more than a page of an import
    with run_barbican(folder, url, simple_crypto_plugin={'kek': kek}) as server:
        yield SimpleNamespace(server=server, contents=fill(server, many=many), kek=kek, database=url,
                              kind=request.param)


@pytest.fixture(scope='module')
def before(barbican):
    """What that Barbican shows."""
    return shown(barbican.server.ask, barbican.server.url, barbican.contents)


@pytest.fixture
def km(request, barbican, tmp_path):
    """An empty km, with databases of the other kind than Barbican's where that is a file."""
    server = request.getfixturevalue('mariadb' if barbican.kind == 'mariadb' else 'postgresql')
    with believing_all(tmp_path, server, name=re.sub(r'\W', '_', request.node.name)[:50]) as running:
        yield running
        assert MARK not in running.log.read_text()


def counts(said, kind):
    """The numbers said of a kind: in Barbican, imported, already there, expired, left."""
    line, = re.findall(f'^{kind}: .* in Barbican: .*', said, re.MULTILINE)
    return [int(number) for number in re.findall(r'\d+', line)][:5]


def asked(km):
    """Asks km as ``Barbican.ask`` asks Barbican."""
    def ask(method, path, json=None, *, user, project, **headers):
        return km.ask(method, path, json=json, who=project, X_User_Id=user, **headers)
    return ask


@on(*BARBICANS)
def test_what_barbican_showed_km_shows(barbican, before, km):
    contents, conf = barbican.contents, barbican.server.conf
    total = len(contents.secrets) + len(contents.many)
    dry = imported(km, '--barbican-conf', conf, '--dry-run')
    assert counts(dry, 'secrets') == [total + 1, total, 0, 1, 0]
    assert km.get('/v1/secrets', who='alpha').json()['total'] == 0
    said = imported(km, '--barbican-conf', conf)
    assert counts(said, 'secrets') == [total + 1, total, 0, 1, 0]
    assert counts(said, 'containers') == [4, 4, 0, 0, 0]
    assert 'orders: 1 in Barbican: these are not brought over.' in said
    assert shown(asked(km), km.url, contents) == before
    again = imported(km, '--barbican-conf', conf)
    assert counts(again, 'secrets') == [total + 1, 0, total, 1, 0]
    assert counts(again, 'containers') == [4, 0, 4, 0, 0]
    assert counts(again, 'project quotas')[:3] == [1, 0, 1]
    for output in (dry, said, again):
        assert barbican.kek not in output


@on('sqlite')
def test_an_import_that_is_killed_again_and_again_ends_where_one_ends_that_is_not(
        barbican, before, km, tmp_path):
    conf = victims_conf(km, tmp_path)
    with contextlib.closing(Stops(km.metadata, km.ciphertext)) as stops:
        for step in KILLS:
            with stops.at(step) as wait, forked(
                    manage.main, tmp_path / 'import.log', '--config-file', conf, 'import', 'barbican',
                    '--barbican-conf', barbican.server.conf) as process:
                wait()
                kill(process)
    imported(km, '--barbican-conf', barbican.server.conf)
    assert shown(asked(km), km.url, barbican.contents) == before
    with km.metadata.connect() as connection:
        states = connection.exec_driver_sql('SELECT status FROM secrets').scalars().all()
    assert set(states) == {'ACTIVE'}
    with km.ciphertext.connect() as connection:
        kept = connection.exec_driver_sql('SELECT secret_id FROM blobs').scalars().all()
    assert len(kept) == len(set(kept)) == len(states) - 1  # one has no payload


@on('sqlite')
def test_openstack_secret_get_takes_an_old_ref(barbican, tmp_path):
    payload = f'{MARK} of a volume'
    secret = barbican.server.made('/v1/secrets', text(payload), user='admin', project='standalone')
    tmp_path.chmod(0o700)
    with standalone(tmp_path / 'quickstart') as km:
        kek = tmp_path / 'barbican-kek'
        kek.write_text(f'{Fernet.generate_key().decode()}\n{barbican.kek}\n')
        imported(km, '--database', barbican.database, '--kek', kek, '--store', 'soft')
        read = subprocess.run(
            [program('openstack'), 'secret', 'get', '--payload', '-f', 'value',
             f'{barbican.server.url}/v1/secrets/{secret}'],
            env={**environment(), **km.openrc()}, capture_output=True, text=True, check=True)
        assert read.stdout == f'{payload}\n'
        assert f"'/v1/secrets/{secret}/payload' 200" in km.log.read_text()
    assert barbican.server.ask(
        'DELETE', f'/v1/secrets/{secret}', user='admin', project='standalone').ok


@on('sqlite')
def test_under_a_wrong_master_key_nothing_is_imported(barbican, km, tmp_path):
    kek = tmp_path / 'kek-of-another'
    kek.write_text(Fernet.generate_key().decode())
    said = imported(km, '--barbican-conf', barbican.server.conf, '--kek', kek, status=1)
    assert said == ("km: None of Barbican's 3 project keys opens under the master keys given: these are "
                    'not its keys. Nothing was imported.\n')
    assert km.get('/v1/secrets', who='alpha').json()['total'] == 0
    assert imported(km, '--database', barbican.database, status=1).startswith(
        'km: Payloads in this database are under master keys of simple_crypto: give them')


@on('sqlite')
def test_what_is_not_the_same_any_more_and_what_km_cannot_take_is_said_and_left(barbican, km):
    server, conf, url = barbican.server, barbican.server.conf, f'{barbican.server.url}/v1/secrets'
    changed, deleted, twice = (server.made('/v1/secrets', text(MARK), **ANN) for _ in range(3))
    imported(km, '--barbican-conf', conf)
    acl = {'read': {'users': ['dan'], 'project-access': False}}
    assert server.ask('PUT', f'/v1/secrets/{changed}/acl', acl, **ANN).ok
    assert server.ask('PUT', f'/v1/secrets/{changed}/metadata', {'metadata': {'a': 'b'}}, **ANN).ok
    assert server.ask('DELETE', f'/v1/secrets/{deleted}', **ANN).ok
    container = server.made('/v1/containers', {'type': 'generic', 'secret_refs': [
        {'name': name, 'secret_ref': f'{url}/{twice}'} for name in ('one',)]}, **ANN)
    assert server.ask('POST', f'/v1/containers/{container}/secrets', {
        'name': 'two', 'secret_ref': f'{url}/{twice}'}, **ANN).ok
    said = imported(km, '--barbican-conf', conf, status=1)
    assert sorted(line for line in said.splitlines() if line.startswith('km: ')) == sorted([
        f'km: secret {changed}: it is in km with another ACL, user metadata.',
        f'km: secret {deleted}: it was deleted since it was brought over; delete it in km too.',
        f'km: container {container}: it has a secret or a name twice, which km does not allow; take one '
        'out in Barbican and run again.'])
    assert asked(km)('GET', f'/v1/secrets/{changed}/acl', **ANN).json() == {
        'read': {'project-access': True}}
    assert counts(said, 'secrets')[4] == 1
    assert 'left. 1 were deleted since.' in said
