# SPDX-License-Identifier: Apache-2.0
"""Stock python-barbicanclient and openstacksdk, against every deployment."""
import os

import pytest
from barbicanclient import client as barbican
from barbicanclient.exceptions import HTTPAuthError, HTTPClientError
from keystoneauth1.http_basic import HTTPBasicAuth
from keystoneauth1.session import Session
from openstack.connection import Connection
from openstack.exceptions import ForbiddenException, NotFoundException

from tests.functional.assertions import assert_refused, with_keystone
from tests.functional.km_server import new_text


def barbicanclient(km, **options):
    """python-barbicanclient, as a user of km has it: from the catalog, or told the endpoint."""
    if not km.keystone:
        options['endpoint'] = km.url
    return barbican.Client(session=km.session(), version='v1', **options)


@pytest.fixture
def client(km):
    return barbicanclient(km, microversion='1.1')


def sdk(km, who='alpha-member'):
    """openstacksdk's proxy for the key manager."""
    if km.keystone:
        return Connection(session=km.session(who)).key_manager
    openrc = km.openrc()
    return Connection(
        auth_type='http_basic', auth={'endpoint': km.url, 'username': 'admin',
                                      'password': openrc['OS_PASSWORD']},
        key_manager_endpoint_override=km.url + '/v1').key_manager


@pytest.mark.parametrize('kind', [str, bytes])
def test_barbicanclient_stores_and_reads(km, client, kind):
    payload = km.hide(new_text() + '  \n' if kind is str else os.urandom(32))
    ref = client.secrets.create(
        name='demo', payload=payload, algorithm='aes', bit_length=256, mode='cbc',
        secret_type='symmetric', expiration='2099-01-01T00:00:00').store()
    read = client.secrets.get(ref)
    assert (read.name, read.algorithm, read.bit_length, read.mode) == ('demo', 'aes', 256, 'cbc')
    assert (read.secret_type, read.status) == ('symmetric', 'ACTIVE')
    assert read.expiration.isoformat() == '2099-01-01T00:00:00+00:00'
    assert read.payload == payload
    assert client.secrets.get(ref.rpartition('/')[2]).payload == payload


def test_barbicanclient_lists_and_counts(km, client):
    name, before = new_text()[-16:], client.secrets.total()
    for number in range(3):
        client.secrets.create(name=name, bit_length=128 + number).store()
    assert client.secrets.total() == before + 3
    listed = client.secrets.list(name=name, sort='bit_length:desc')
    assert [secret.bit_length for secret in listed] == [130, 129, 128]
    assert len(client.secrets.list(name=name, limit=2, offset=2)) == 1
    assert len(client.secrets.list(name=name, bits=129)) == 1


def test_barbicanclient_gives_a_payload_later(km, client):
    for payload in (new_text(), os.urandom(32)):
        ref = client.secrets.create(name='later').store()
        client.secrets.update(ref, km.hide(payload))
        assert client.secrets.get(ref).payload == payload
        with pytest.raises(HTTPClientError) as refused:
            client.secrets.update(ref, km.hide(new_text()))
        assert refused.value.status_code == 409


def test_barbicanclient_deletes(km, client):
    secret = client.secrets.create(name='short', payload=km.hide(new_text()))
    ref = secret.store()
    secret.delete()
    for deed in (lambda: client.secrets.get(ref).status, lambda: client.secrets.delete(ref)):
        with pytest.raises(HTTPClientError) as refused:
            deed()
        assert refused.value.status_code == 404


def test_barbicanclient_changes_acls(km, client):
    ref = client.secrets.create(name='shared', payload=km.hide(new_text())).store()
    acl = client.acls.create(entity_ref=ref, users=['ann', 'bob'], project_access=False)
    assert acl.submit() == ref + '/acl'
    read = client.acls.get(ref).get('read')
    assert (sorted(read.users), read.project_access) == (['ann', 'bob'], False)
    acl = client.acls.get(ref)
    acl.read.users.remove('ann')
    acl.submit()
    assert client.acls.get(ref).read.users == ['bob']
    client.acls.get(ref).remove()
    assert client.acls.get(ref).read.project_access is True


def test_barbicanclient_understands_a_refusal_of_who_it_is(km):
    auth = HTTPBasicAuth(endpoint=km.url, username='admin', password='wrong')
    with pytest.raises(HTTPAuthError):
        barbican.Client(session=Session(auth), version='v1', endpoint=km.url,
                        microversion='1.1').secrets.list()


@with_keystone
def test_barbicanclient_understands_that_something_is_forbidden(km, client):
    ref = client.secrets.create(name='ours', payload=km.hide(new_text())).store()
    stranger = barbican.Client(session=km.session('beta-member'), version='v1')
    with pytest.raises(HTTPClientError, match='please review your user/project privileges') as refused:
        _ = stranger.secrets.get(ref).payload
    assert refused.value.status_code == 403
    client.acls.create(entity_ref=ref, users=[km.user_id('beta-member')]).submit()
    assert stranger.secrets.get(ref).payload == client.secrets.get(ref).payload


@pytest.mark.parametrize('microversion', ['1.0', '1.1', None])
def test_barbicanclient_works_at_every_microversion_it_knows(km, microversion):
    options = {'microversion': microversion} if microversion else {}
    client = barbicanclient(km, **options)
    payload = km.hide(new_text())
    ref = client.secrets.create(name='any', payload=payload).store()
    assert client.secrets.get(ref).payload == payload
    client.secrets.delete(ref)


def test_openstacksdk_stores_reads_lists_and_deletes(km):
    keys, payload, name = sdk(km), km.hide(new_text()), new_text()[-16:]
    made = keys.create_secret(
        name=name, payload=payload, payload_content_type='text/plain', secret_type='opaque',
        algorithm='aes', bit_length=256, mode='cbc')
    read = keys.get_secret(made.secret_id)
    assert (read.name, read.payload, read.bit_length) == (name, payload, 256)
    assert [secret.secret_id for secret in keys.secrets(name=name)] == [made.secret_id]
    keys.delete_secret(made.secret_id, ignore_missing=False)
    assert km.get(f'/v1/secrets/{made.secret_id}').status_code == 404
    with pytest.raises(NotFoundException):
        keys.delete_secret(made.secret_id, ignore_missing=False)


def test_openstacksdk_walks_all_pages(km):
    keys, name = sdk(km), new_text()[-16:]
    for _ in range(12):
        km.secret(None, name=name)
    assert len({secret.secret_id for secret in keys.secrets(name=name)}) == 12


@with_keystone
def test_openstacksdk_understands_that_something_is_forbidden(km):
    made = sdk(km).create_secret(name='ours')
    with pytest.raises(ForbiddenException):
        sdk(km, 'beta-member').delete_secret(made.secret_id)


def test_openstacksdk_is_told_where_a_secret_is_and_moves_it(km):
    path = km.secret()
    admin = sdk(km, 'alpha-admin' if km.keystone else 'alpha-member')
    store = admin.get_global_default_secret_store()
    secret = admin.get_secret(path.rpartition('/')[2])
    assert secret.secret_store_id == store.secret_store_id == store.id
    admin.migrate_secret_store(secret, store)
    if km.keystone:  # the client does not look at the answer
        moved = km.put(f'{path}/secret-store/{store.id}', OpenStack_API_Version='key-manager 1.3')
        assert_refused(moved, 403)
