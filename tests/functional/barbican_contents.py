# SPDX-License-Identifier: Apache-2.0
"""What a Barbican is filled with through its API, how it comes into km, and what both show of it."""
import base64
import os
import time
from dataclasses import dataclass, field
from datetime import timedelta

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from oslo_utils import timeutils

from km.cmd import manage
from tests.functional.km_server import MARK
from tests.functional.open_km import forked

ANN, BEA = {'user': 'ann', 'project': 'alpha'}, {'user': 'bea', 'project': 'beta'}
#: Consumers of secrets came with this microversion.
WITH_CONSUMERS = {'OpenStack_API_Version': 'key-manager 1.1'}
OCTETS = 'application/octet-stream'

_IMPORT_SECONDS = 60

_AES = {'algorithm': 'aes', 'bit_length': 256, 'mode': 'cbc'}
_TYPES = ('symmetric', 'public', 'private', 'passphrase', 'certificate', 'opaque')


@dataclass
class Contents:
    """Ids of what was put into a Barbican, and who may read it.

    :ivar many: of secrets of which one is like the other.
    :ivar gone: of secrets that were deleted, or are past their expiration.
    """

    secrets: dict = field(default_factory=dict)
    many: dict = field(default_factory=dict)
    containers: dict = field(default_factory=dict)
    gone: dict = field(default_factory=dict)


def fill(barbican, *, many):
    """Put some of everything into a Barbican; give what.

    :param many: how many secrets of which one is like the other.
    """
    contents = Contents()
    for number in range(many):
        contents.many[barbican.made('/v1/secrets', {
            'name': f'{number}', **octets(os.urandom(32))}, **ANN)] = ANN
    _fill_with_secrets(barbican, contents)
    _fill_with_containers(barbican, contents)
    quotas = {'project_quotas': {'secrets': 500, 'containers': -1}}
    assert barbican.ask('PUT', '/v1/project-quotas/alpha', quotas, **ANN).ok
    order = {'type': 'key', 'meta': {**_AES, 'name': 'ordered', 'payload_content_type': OCTETS}}
    ordered = barbican.made('/v1/orders', order, **ANN)
    made = barbican.ask('GET', f'/v1/orders/{ordered}', **ANN).json()['secret_ref']
    contents.secrets[made.rpartition('/')[2]] = ANN
    return contents


def _fill_with_secrets(barbican, contents):
    def keep(who=ANN, **described):
        made = barbican.made('/v1/secrets', described, **who)
        contents.secrets[made] = who
        return made

    for who in (ANN, BEA):
        for kind in _TYPES:
            keep(who, name=f'text {kind}', secret_type=kind, **text(f'{MARK} Größe {kind}\n 密 '))
            keep(who, name=f'bytes {kind}', secret_type=kind, **octets(os.urandom(48)), **_AES)
    keep(name='no payload yet')
    keep(**text('no name'))
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER):
        keep(name='a key', secret_type='private', **octets(key.private_bytes(
            encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
            'application/pkcs8'))
    keep(name='large', **octets(os.urandom(7000)))
    keep(name='expires', expiration=_after(days=900), **text('soon'))
    shared, private, described, used = (keep(name=name, **text(name)) for name in (
        'shared', 'private', 'described', 'used'))
    _put(barbican, f'/v1/secrets/{shared}/acl', {'read': {'users': ['bea', 'cem']}})
    _put(barbican, f'/v1/secrets/{private}/acl', {'read': {'users': [], 'project-access': False}})
    _put(barbican, f'/v1/secrets/{described}/metadata', {'metadata': {'city': 'Köln', 'zip': '50667'}})
    for name in ('cinder', 'nova'):
        assert barbican.ask('POST', f'/v1/secrets/{used}/consumers', {
            'service': name, 'resource_type': 'volume', 'resource_id': name * 5}, **ANN,
            **WITH_CONSUMERS).ok
    deleted = barbican.made('/v1/secrets', text('deleted'), **ANN)
    assert barbican.ask('DELETE', f'/v1/secrets/{deleted}', **ANN).ok
    expired = barbican.made('/v1/secrets', {**text('expired'), 'expiration': _after(seconds=1)}, **ANN)
    contents.gone = {deleted: ANN, expired: ANN}
    time.sleep(1.1)


def _fill_with_containers(barbican, contents):
    secrets = list(contents.secrets)

    def keep(kind, members, name=None):
        made = barbican.made('/v1/containers', {'type': kind, 'name': name, 'secret_refs': [
            {'name': called, 'secret_ref': f'{barbican.url}/v1/secrets/{secret}'}
            for called, secret in members.items()]}, **ANN)
        contents.containers[made] = ANN
        return made

    keep('generic', {'one': secrets[0], 'two': secrets[1]}, 'some')
    keep('rsa', dict(zip(('public_key', 'private_key'), secrets[2:4], strict=True)), 'pair')
    used = keep('certificate', {'certificate': secrets[8], 'private_key': secrets[4]}, 'tls')
    assert barbican.ask('POST', f'/v1/containers/{used}/consumers', {
        'name': 'octavia', 'URL': 'https://lb.example.org/1'}, **ANN).ok
    _put(barbican, f'/v1/containers/{used}/acl', {'read': {'users': ['cem'], 'project-access': False}})
    keep('generic', {}, 'empty')
    deleted = keep('generic', {}, 'deleted')
    assert barbican.ask('DELETE', f'/v1/containers/{deleted}', **ANN).ok
    del contents.containers[deleted]


def text(payload):
    """The fields of a secret with a text."""
    return {'payload': payload, 'payload_content_type': 'text/plain'}


def octets(payload, content_type=OCTETS):
    """The fields of a secret with bytes."""
    return {'payload': base64.b64encode(payload).decode(), 'payload_content_type': content_type,
            'payload_content_encoding': 'base64'}


def imported(km, *arguments, status=0):
    """What ``km-manage import barbican`` says when it ends with that status."""
    log = km.conf.with_name('import.log')
    log.unlink(missing_ok=True)
    with forked(manage.main, log, '--config-file', km.conf, 'import', 'barbican', *arguments) as process:
        process.join(_IMPORT_SECONDS)
    said = log.read_text()
    assert process.exitcode == status, said
    assert MARK not in said
    assert 'Traceback' not in said
    return said


def shown(ask, url, contents):
    """Everything that an API shows of the contents, without the URL it is at.

    :param ask: asks as ``Barbican.ask`` does.
    """
    answers = {}
    for secret, who in contents.secrets.items():
        path = f'/v1/secrets/{secret}'
        answers[path] = _json(ask('GET', path, **who), url)
        answers[f'{path}/acl'] = _json(ask('GET', f'{path}/acl', **who), url)
        answers[f'{path}/metadata'] = _json(ask('GET', f'{path}/metadata', **who), url)
        answers[f'{path}/consumers'] = _json(
            ask('GET', f'{path}/consumers', **who, **WITH_CONSUMERS), url)
        answers[f'{path}/payload'] = [_payload(ask('GET', f'{path}/payload', Accept=accept, **who))
                                      for accept in ('text/plain', OCTETS, 'application/pkcs8')]
    for secret, who in contents.many.items():
        path = f'/v1/secrets/{secret}/payload'
        answers[path] = _payload(ask('GET', path, Accept=OCTETS, **who))
    for container, who in contents.containers.items():
        path = f'/v1/containers/{container}'
        answers[path] = _json(ask('GET', path, **who), url)
        answers[f'{path}/acl'] = _json(ask('GET', f'{path}/acl', **who), url)
        answers[f'{path}/consumers'] = _json(ask('GET', f'{path}/consumers', **who), url)
    for who in (ANN, BEA):
        answers[f'list of {who}'] = _json(ask('GET', '/v1/secrets?limit=100', **who), url)
    for gone, who in contents.gone.items():
        answers[gone] = ask('GET', f'/v1/secrets/{gone}', **who).status_code
    answers['quotas'] = _json(ask('GET', '/v1/project-quotas/alpha', **ANN), url)
    return answers


def _payload(answer):
    return answer.content if answer.ok else answer.status_code


def _json(answer, url):
    told = answer.json() if answer.ok else {}
    for found in told.get('consumers', ()):
        for when in ('created', 'updated'):
            found.pop(when, None)
    for name in 'consumers', 'secret_refs', 'secrets':
        if name in told:  # what is of one time has no order
            told[name].sort(key=str)
    if 'users' in told.get('read', {}):
        told['read']['users'].sort()
    return answer.status_code, _without(told, url)


def _without(told, url):
    if isinstance(told, dict):
        return {name: _without(value, url) for name, value in told.items()}
    if isinstance(told, list):
        return [_without(value, url) for value in told]
    return told.replace(url, '') if isinstance(told, str) else told


def _put(barbican, path, json):
    answer = barbican.ask('PUT', path, json, **ANN)
    assert answer.ok, answer.text


def _after(**time_from_now):
    return (timeutils.utcnow() + timedelta(**time_from_now)).isoformat()
