# SPDX-License-Identifier: Apache-2.0
"""A km that orders certificates, in each of its deployments, and how tests order of it over HTTP."""
import configparser
import contextlib
import functools
import time
from types import SimpleNamespace

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from km.cmd import api
from tests.functional import km_server, open_km, split_server
from tests.functional.km_server import ends_cleanly
from tests.functional.other_stores import TokenKm
from tests.functional.servers import HOST, http_answers, reserved_port, wait_until
from tests.functional.softhsm import softhsm

#: The headers of who knows of ``/v1/certificates``.
V1_4 = {'OpenStack_API_Version': 'key-manager 1.4'}
#: What an authority of a project may give certificates for, in these tests.
PERMITTED = 'DNS:{project}.example.org'
#: How long km may take to say no.
SOON = 3
_SECONDS = 20


def local_ca(connection, *, key_store='soft', publication_url='${api.host_href}/pki', **more):
    """The sections of a km.conf that has a Local CA by the name of ``local``.

    :param connection: the URL of its database.
    :param publication_url: where its CRLs are; usually where the API says that it is.
    :param more: more options of it.
    """
    return {
        'certificate_authority': {'enabled': 'local'},
        'certificate_authority:local': {
            'plugin': 'local_ca', 'connection': connection, 'key_store': key_store, 'key_bits': 256,
            'publication_url': publication_url, 'subordinate_permitted': PERMITTED, **more}}


@contextlib.contextmanager
def standalone(folder):
    """What ``km-quickstart`` gives."""
    with km_server.standalone(folder / 'quickstart') as km:
        yield km


@contextlib.contextmanager
def behind_keystone(folder, databases, keystone):
    """A km behind Keystone, its keys in files."""
    with km_server.behind_keystone(
            folder, databases, keystone, name='km_orders',
            sections=local_ca(databases.create_database('km_orders_ca'))) as km:
        yield km


@contextlib.contextmanager
def in_a_token(folder, postgresql, keystone):
    """A km behind Keystone that has the keys of its authority, and those of its store, in SoftHSM2."""
    with softhsm(folder) as token, km_server.behind_keystone(
            folder, postgresql, keystone, name='km_ca_token', first=[('hsm', 'init', 'soft')],
            make=functools.partial(TokenKm, 'pkcs11'), sections={
                'secret_store:soft': {'plugin': 'pkcs11', **token.settings, 'kek_file': None},
                **local_ca(postgresql.create_database('km_ca_token_ca'))}) as km:
        yield km


@contextlib.contextmanager
def split(folder, postgresql, keystone, rabbitmq):
    """An API that knows no store and no authority, and workers that have both."""
    with split_server.split(folder, postgresql, keystone, rabbitmq, name='km_ca_split') as km:
        assert ends_cleanly(km.worker), km.log_tail()
        append(km.conf, local_ca(postgresql.create_database('km_ca_split_ca'),
                                 publication_url=f'{km.url}/pki'))
        with km.working():
            yield km
            assert ends_cleanly(km.worker), km.log_tail()


def append(conf, sections):
    """Add sections to a km.conf that has none of these."""
    with conf.open('a') as file:
        for section, options in sections.items():
            file.write(f'\n[{section}]\n')
            file.writelines(f'{name} = {value}\n' for name, value in options.items())


def private(tmp_path_factory, name):
    """A new folder that nobody else can look into."""
    folder = tmp_path_factory.mktemp(name)
    folder.chmod(0o700)
    return folder


def running(deployment):
    """Give the km of a deployment; in the end it stops in order, and its log has kept every secret."""
    with deployment as km:
        yield km
        km.close()
        assert ends_cleanly(km.process), km.log_tail()
    assert not km.leaks()
    assert 'Traceback' not in km.log.read_text(errors='replace')


def ordered(km, *, who='alpha-member', **meta):
    """The answer to who orders a certificate, which comes soon."""
    began = time.monotonic()
    answer = km.post('/v1/orders', {'type': 'certificate', 'meta': meta}, who=who)
    assert time.monotonic() - began < SOON
    return answer


def placed(km, *, who='alpha-member', **meta):
    """The path of a new order of a certificate."""
    made = km.post('/v1/orders', {'type': 'certificate', 'meta': meta}, who=who)
    assert made.status_code == 202, made.text
    return path_of(km, made.json()['order_ref'])


def ended(km, path, *, who='alpha-member'):
    """An order, once it waits for nothing."""
    deadline = time.monotonic() + _SECONDS
    while (order := km.get(path, who=who).json())['status'] == 'PENDING':
        assert time.monotonic() < deadline, order
        time.sleep(0.05)
    return order


def issued(km, *, who='alpha-member', **meta):
    """A new order that has its certificate."""
    order = ended(km, placed(km, who=who, **meta), who=who)
    assert order['status'] == 'ACTIVE', order
    return order


def contents(km, ref, *, who='alpha-member'):
    """The payloads of a container, by name."""
    container = km.get(path_of(km, ref), who=who)
    assert container.status_code == 200, container.text
    found = {}
    for one in container.json()['secret_refs']:
        answer = km.get(path_of(km, one['secret_ref']) + '/payload', who=who,
                        Accept='application/octet-stream')
        assert answer.status_code == 200, answer.text
        found[one['name']] = answer.content
    for line in found.get('private_key', b'').splitlines()[1:-1]:
        km.hide(line)
    return found


def certificate_of(km, order, *, who='alpha-member'):
    """How ``/v1/certificates`` shows what an order made; the first version that is in use."""
    container = order['container_ref'].rpartition('/')[2]
    listed = km.get('/v1/certificates', params={'container_id': container}, who=who, **V1_4).json()
    return next(one for one in listed['certificates'] if one['is_current'])


def path_of(km, ref):
    return ref.removeprefix(km.url)


def assert_belong_together(found):
    """Insist that a container's certificate, private key and intermediates are of one making; give the
    certificate."""
    leaf = x509.load_pem_x509_certificate(found['certificate'])
    key = load_pem_private_key(found['private_key'], None).public_key()
    assert _spki(leaf.public_key()) == _spki(key)
    above = leaf
    for issuer in x509.load_pem_x509_certificates(found['intermediates']):
        above.verify_directly_issued_by(issuer)
        above = issuer
    return leaf


def _spki(key):
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@contextlib.contextmanager
def of_each_kind(folder, postgresql, *, token, bind, pebble, ejbca):
    """A km that believes everybody and has three authorities: ``local``, a Local CA; ``acme``, which
    looks into a name server; and ``ejbca``. Their keys are in a token, payloads are not. It sweeps once.
    """
    connection = postgresql.create_database('order_kills_authorities')
    (folder / 'proofs').mkdir(mode=0o700)
    sections = local_ca(connection, key_store='hsm') | {
        'secret_store': {'enabled': 'soft, hsm', 'default': 'soft'},
        'secret_store:hsm': {'plugin': 'pkcs11', **token.settings,
                             'connection': postgresql.create_database('order_kills_hsm')},
        'challenge_responder': {'enabled': 'zone'},
        'challenge_responder:zone': {
            'plugin': 'dns_01', 'path': folder / 'proofs', **_as_text(bind.options())},
        'certificate_authority': {'enabled': 'local, acme, ejbca'},
        'certificate_authority:acme': {
            'plugin': 'acme', 'directory_url': pebble.directory_url, 'ca_file': pebble.ca_file,
            'terms_of_service_agreed': True, 'key_store': 'hsm', 'responders': 'zone',
            'poll_min_seconds': 0.1, 'connection': connection},
        'certificate_authority:ejbca': {'plugin': 'ejbca', **_as_text(ejbca.options())}}
    with open_km.believing_all(folder, postgresql, name='order_kills', first=[('hsm', 'init', 'hsm')],
                               sections=sections) as km:
        yield km


@contextlib.contextmanager
def another(km, folder):
    """Run one more ``km-api`` on the databases of ``km``, which may be killed; give an ``OpenKm``."""
    with reserved_port() as port:
        url, log = f'http://{HOST}:{port}', folder / f'{port}.log'
        conf = open_km.victims_conf(km, folder, bind_port=port)
        _name_connections(conf)
        with open_km.forked(api.main, log, '--config-file', conf) as process:
            wait_until(lambda: http_answers(port, '/healthcheck'),
                       SimpleNamespace(poll=lambda: process.exitcode), log)
            yield open_km.OpenKm('another', url=url, conf=conf, log=log, process=process)


def _name_connections(path):
    """Have the server of databases know all connections of a km.conf as those of a victim."""
    conf = configparser.ConfigParser(interpolation=None)
    conf.read(path)
    for section in conf.values():
        if 'connection' in section and '?' not in section['connection']:
            section['connection'] += f'?application_name={open_km.VICTIM}'
    with path.open('w') as file:
        conf.write(file)


def _as_text(options):
    """Options as a km.conf has them."""
    texts = {list: ', '.join,
             dict: lambda value: ', '.join(f'{name}:{one}' for name, one in value.items())}
    return {name: texts.get(type(value), str)(value) for name, value in options.items()}
