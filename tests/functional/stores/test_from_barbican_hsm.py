# SPDX-License-Identifier: Apache-2.0
"""A real Barbican whose payloads a token sealed, SoftHSM2, comes into km where the token is at hand."""
import base64
import configparser
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
from types import SimpleNamespace

import pytest

from tests.functional.barbican_contents import ANN, BEA, OCTETS, imported, octets, text
from tests.functional.barbican_server import barbican as run_barbican
from tests.functional.barbican_server import write
from tests.functional.km_server import MARK, program
from tests.functional.open_km import believing_all

LIBRARY = '/usr/lib/softhsm/libsofthsm2.so'
PIN = '12345678'


@pytest.fixture(scope='module')
def token(tmp_path_factory):
    """A token with Barbican's master keys in it: the options that lead to it."""
    folder = tmp_path_factory.mktemp('softhsm')
    (folder / 'tokens').mkdir()
    (folder / 'softhsm2.conf').write_text(f'directories.tokendir = {folder}/tokens\n')
    options = {
        'library_path': LIBRARY, 'login': PIN, 'token_labels': 'barbican', 'mkek_label': 'mkek',
        'hmac_label': 'hmac', 'hmac_key_type': 'CKK_GENERIC_SECRET',
        'hmac_keygen_mechanism': 'CKM_GENERIC_SECRET_KEY_GEN',
        'key_wrap_mechanism': 'CKM_AES_KEY_WRAP_PAD', 'key_wrap_generate_iv': 'false'}
    (folder / '.barbican').mkdir()
    write(folder / '.barbican' / 'barbican.conf', {'p11_crypto_plugin': options})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('SOFTHSM2_CONF', str(folder / 'softhsm2.conf'))
        for command in (
                ['softhsm2-util', '--init-token', '--free', '--label', 'barbican', '--so-pin', PIN,
                 '--pin', PIN],
                [program('barbican-manage'), 'hsm', 'gen_mkek', '--label', 'mkek'],
                [program('barbican-manage'), 'hsm', 'gen_hmac', '--label', 'hmac']):
            subprocess.run(command, env={**os.environ, 'HOME': str(folder)}, check=True,
                           capture_output=True)
        yield options


@pytest.fixture(scope='module', params=['CKM_AES_CBC', 'CKM_AES_GCM'])
def barbican(request, token, tmp_path_factory):
    """A Barbican with payloads of several lengths; ``payloads`` is them and whose they are, by id."""
    folder = tmp_path_factory.mktemp('barbican')
    options = {**token, 'encryption_mechanism': request.param}
    with run_barbican(folder, f'sqlite:///{folder}/barbican.sqlite',
                      secretstore={'enabled_secretstore_plugins': 'store_crypto'},
                      crypto={'enabled_crypto_plugins': 'p11_crypto'},
                      p11_crypto_plugin=options) as server:
        payloads = {}
        for who in (ANN, BEA):
            for payload in (b'\x01', os.urandom(16), os.urandom(4000)):
                payloads[server.made('/v1/secrets', octets(payload), **who)] = payload, who
            payloads[server.made('/v1/secrets', text(MARK), **who)] = MARK.encode(), who
        order = {'type': 'key', 'meta': {'algorithm': 'aes', 'bit_length': 256, 'name': 'made',
                                         'payload_content_type': OCTETS}}
        made = server.ask('GET', '/v1/orders/' + server.made('/v1/orders', order, **ANN), **ANN)
        secret = made.json()['secret_ref'].rpartition('/')[2]
        read = server.ask('GET', f'/v1/secrets/{secret}/payload', Accept=OCTETS, **ANN)
        payloads[secret] = read.content, ANN
        yield SimpleNamespace(conf=server.conf, payloads=payloads,
                              database=folder / 'barbican.sqlite')


@pytest.fixture
def km(barbican, postgresql, tmp_path):
    """An empty km."""
    with believing_all(tmp_path, postgresql, name=f'hsm_{os.urandom(4).hex()}') as running:
        yield running


def test_what_the_token_opens_comes_into_km(barbican, km):
    said = imported(km, '--barbican-conf', barbican.conf)
    assert 'Project keys of Barbican: 2 open, 0 do not.' in said
    assert 'secrets: 9 in Barbican: 9 imported' in said
    for secret, (payload, who) in barbican.payloads.items():
        read = km.get(f'/v1/secrets/{secret}/payload', who=who['project'], Accept=OCTETS)
        assert (read.status_code, read.content) == (200, payload)
    again = imported(km, '--barbican-conf', barbican.conf)
    assert 'secrets: 9 in Barbican: 0 imported, 9 were there already' in again


def test_they_may_stay_in_the_token_that_had_them(barbican, postgresql, tmp_path):
    pin = tmp_path / 'pin'
    pin.touch(0o600)
    pin.write_text(PIN)
    name = f'same_{os.urandom(4).hex()}'
    with believing_all(tmp_path, postgresql, name=name, first=[('hsm', 'init', 'soft')], sections={
            'secret_store:soft': {
                'plugin': 'pkcs11', 'module_path': LIBRARY, 'token_label': 'barbican', 'pin_file': pin,
                'master_key_label': name, 'connection': f'sqlite:///{tmp_path}/hsm.sqlite'}}) as km:
        assert 'secrets: 9 in Barbican: 9 imported' in imported(km, '--barbican-conf', barbican.conf)
        for secret, (payload, who) in barbican.payloads.items():
            read = km.get(f'/v1/secrets/{secret}/payload', who=who['project'], Accept=OCTETS)
            assert read.content == payload


def changed(conf, path, **options):
    """A copy of a barbican.conf with other options of the token; without those that are None."""
    read = configparser.ConfigParser(interpolation=None)
    read.read(conf)
    read['p11_crypto_plugin'].update({name: value for name, value in options.items() if value})
    for name, value in options.items():
        if value is None:
            del read['p11_crypto_plugin'][name]
    write(path, read)
    return path


@pytest.mark.parametrize('barbican', ['CKM_AES_GCM'], indirect=True)
def test_what_was_altered_does_not_open_in_the_token_and_the_rest_does(barbican, km, tmp_path):
    altered = shutil.copy(barbican.database, tmp_path / 'altered.sqlite')
    mine = [secret for secret, (_, who) in barbican.payloads.items() if who == ANN]
    with contextlib.closing(sqlite3.connect(altered)) as database:
        database.execute('UPDATE encrypted_data SET cypher_text = ? WHERE secret_id = ?',
                         (base64.b64encode(bytes(40)), mine[0]))
        database.execute('UPDATE encrypted_data SET kek_meta_extended = ? WHERE secret_id = ?',
                         ('{"iv": "AAAA", "mechanism": "VENDOR_SAFENET_CKM_AES_GCM"}', mine[1]))
        label, noted = database.execute(
            "SELECT kek_label, plugin_meta FROM kek_data WHERE kek_label LIKE 'project-beta-%'"
            ).fetchone()
        forged = {**json.loads(noted), 'hmac': base64.b64encode(bytes(32)).decode()}
        database.execute('UPDATE kek_data SET plugin_meta = ? WHERE kek_label = ?',
                         (json.dumps(forged), label))
        database.commit()
    said = imported(km, '--barbican-conf', barbican.conf, '--database', f'sqlite:///{altered}', status=1)
    assert 'Project keys of Barbican: 1 open, 1 do not.' in said
    assert f'km: secret {mine[0]}: its payload does not open in the token.' in said
    assert (f'km: secret {mine[1]}: its payload was sealed by VENDOR_SAFENET_CKM_AES_GCM, which km has '
            'not.') in said
    assert said.count("its project's key does not open in the token.") == 4
    assert 'secrets: 9 in Barbican: 3 imported,' in said


@pytest.mark.parametrize('barbican', ['CKM_AES_GCM'], indirect=True)
def test_a_token_that_cannot_be_used_is_said_to_be_none_and_nothing_is_imported(barbican, km, tmp_path):
    def with_other(**options):
        other = changed(barbican.conf, tmp_path / 'other.conf', **options)
        said = imported(km, '--barbican-conf', other, status=1)
        assert PIN not in said
        return said

    assert 'login: the token refuses this PIN.' in with_other(login='87654321')
    assert 'token_labels: 0 tokens are there that barbican.conf' in with_other(token_labels='other')
    assert '0 tokens are there' in with_other(token_labels=None, slot_id='7')
    assert 'slot_id: this is no number.' in with_other(token_labels=None, slot_id='x')
    assert '0 tokens are there' in with_other(token_serial_number='x')
    assert 'library_path: this library, or its token,' in with_other(library_path='/no/library.so')
    left = with_other(library_path=None)
    assert left.count('its payload is with P11CryptoPlugin, which km was given no way to read.') == 9
    assert km.get('/v1/secrets', who='alpha').json()['total'] == 0
