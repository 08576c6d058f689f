# SPDX-License-Identifier: Apache-2.0
"""Containers and consumers by the stock clients: python-barbicanclient, openstacksdk, ``openstack``."""
import json

import pytest
from barbicanclient.exceptions import HTTPClientError, SecretHasConsumers

from tests.functional.assertions import standalone_only
from tests.functional.km_server import new_text
from tests.functional.test_command_line import shell, stored  # noqa: F401  shell is a fixture
from tests.functional.test_python_clients import barbicanclient, sdk


@pytest.fixture(params=['1.0', '1.1', '1.2'])
def client(km, request):
    return barbicanclient(km, microversion=request.param)


def a_secret(km, client, name):
    secret = client.secrets.create(name=name, payload=km.hide(new_text()))
    secret.store()
    return secret


def test_barbicanclient_keeps_a_certificate(km, client):
    certificate, key = a_secret(km, client, 'certificate'), a_secret(km, client, 'key')
    container = client.containers.create_certificate(
        name='tls', certificate=certificate, private_key=key)
    ref = container.store()
    read = client.containers.get(ref)
    assert (read.name, read.status, read.container_ref) == ('tls', 'ACTIVE', ref)
    assert read.certificate.payload == certificate.payload
    assert read.private_key.secret_ref == key.secret_ref
    assert read.intermediates is None
    assert ref in [found.container_ref for found in client.containers.list(limit=100)]
    assert client.containers.total() > 0
    read.delete()
    with pytest.raises(HTTPClientError) as refused:
        client.containers.get(ref)
    assert refused.value.status_code == 404
    assert client.secrets.get(key.secret_ref).payload == key.payload


def test_barbicanclient_keeps_a_key_pair_and_anything_else(km, client):
    public, private = a_secret(km, client, 'public'), a_secret(km, client, 'private')
    rsa = client.containers.get(client.containers.create_rsa(
        name='pair', public_key=public, private_key=private).store())
    assert (rsa.public_key.secret_ref, rsa.private_key.secret_ref) == (
        public.secret_ref, private.secret_ref)
    generic = client.containers.get(client.containers.create(
        name='any', secrets={'one': public, 'two': private}).store())
    assert sorted(generic.secret_refs) == ['one', 'two']


def test_barbicanclient_registers_consumers_of_containers(km, client):
    ref = client.containers.create(name='any').store()
    for _ in range(2):
        container = client.containers.register_consumer(ref, name='lb', url='http://lb/1')
        assert container.consumers == [{'name': 'lb', 'URL': 'http://lb/1'}]
    client.containers.remove_consumer(ref, name='lb', url='http://lb/1')
    assert client.containers.get(ref).consumers == []


def test_barbicanclient_changes_acls_of_containers(km, client):
    ref = client.containers.create(name='any').store()
    acl = client.acls.create(entity_ref=ref, users=['ann', 'bob'], project_access=False)
    assert acl.submit() == ref + '/acl'
    read = client.acls.get(ref).get('read')
    assert (sorted(read.users), read.project_access) == (['ann', 'bob'], False)
    client.acls.get(ref).remove()
    assert client.acls.get(ref).read.project_access is True


@pytest.mark.parametrize('microversion', ['1.1', '1.2'])
def test_barbicanclient_registers_consumers_of_secrets(km, microversion):
    client = barbicanclient(km, microversion=microversion)
    ref = a_secret(km, client, 'used').secret_ref
    consumer = {'service': 'compute', 'resource_type': 'server', 'resource_id': 'abc'}
    for _ in range(2):
        client.secrets.register_consumer(ref, **consumer)
    found, = client.secrets.list_consumers(ref)
    assert (found.service, found.resource_type, found.resource_id) == ('compute', 'server', 'abc')
    assert client.secrets.get(ref).consumers == [consumer]
    with pytest.raises(SecretHasConsumers):
        client.secrets.delete(ref)
    client.secrets.remove_consumer(ref, **consumer)
    assert client.secrets.get(ref).consumers == []
    client.secrets.delete(ref)


def test_barbicanclient_deletes_a_secret_with_consumers_by_force(km):
    client = barbicanclient(km, microversion='1.2')
    ref = a_secret(km, client, 'used').secret_ref
    client.secrets.register_consumer(ref, service='s', resource_type='t', resource_id='i')
    client.secrets.delete(ref, force=True)
    assert km.get(ref).status_code == 404


def test_openstacksdk_keeps_containers_and_their_acls(km):
    keys, secret = sdk(km), km.secret()
    made = keys.create_container(name='box', type='generic', secret_refs=[
        {'name': 'it', 'secret_ref': km.url + secret}])
    read = keys.get_container(made.container_id)
    assert (read.name, read.type, read.status) == ('box', 'generic', 'ACTIVE')
    assert read.secret_refs == [{'name': 'it', 'secret_ref': km.url + secret}]
    assert made.container_id in [found.container_id for found in keys.containers()]
    keys.create_container_acl(made.container_id, read={'users': ['ann'], 'project-access': False})
    assert keys.get_container_acl(made.container_id).read['users'] == ['ann']
    keys.update_container_acl(made.container_id, read={'users': ['bob']})
    found = keys.get_container_acl(made.container_id).read
    assert (found['users'], found['project-access']) == (['bob'], False)
    keys.delete_container_acl(made.container_id)
    keys.delete_container(made.container_id, ignore_missing=False)
    assert km.get(f'/v1/containers/{made.container_id}').status_code == 404


def test_openstacksdk_keeps_consumers_of_secrets(km):
    keys, secret_id = sdk(km), km.secret().rpartition('/')[2]
    consumer = {'service': 'compute', 'resource_type': 'server', 'resource_id': 'abc'}
    keys.create_secret_consumer(secret_id, **consumer)
    found, = keys.secret_consumers(secret_id)
    assert (found.service, found.resource_type, found.resource_id) == ('compute', 'server', 'abc')
    keys.delete_secret_consumer(secret_id, ignore_missing=False, **consumer)
    assert list(keys.secret_consumers(secret_id)) == []


@standalone_only
def test_the_openstack_command_keeps_containers(km, shell):  # noqa: F811
    ref = stored(shell, f"-n key -p '{km.hide(new_text())}'")
    box = shell("openstack secret container create -n tls --type certificate -f value "
                f"-c 'Container href' --secret certificate={ref}").strip()
    assert km.get(box).json()['secret_refs'] == [{'name': 'certificate', 'secret_ref': ref}]
    columns = '-c Name -c Type -c Status -f json'  # it cannot write a time as JSON
    shown = json.loads(shell(f'openstack secret container get {columns} {box}'))
    assert (shown['Name'], shown['Type'], shown['Status']) == ('tls', 'certificate', 'ACTIVE')
    assert box in shell("openstack secret container list -n tls -f value -c 'Container href'")
    shell(f'openstack acl user add --user bob --operation-type read {box}')
    assert "['bob']" in shell(f'openstack acl get {box}')
    shell(f'openstack secret container delete {box}')
    assert km.get(box).status_code == 404
    assert km.get(ref).status_code == 200


@standalone_only
def test_the_openstack_command_keeps_consumers(km, shell):  # noqa: F811
    ref = stored(shell, f"-n key -p '{km.hide(new_text())}'")
    consumer = f'--service-type-name compute --resource-type server --resource-id abc {ref}'
    shell(f'openstack secret consumer create {consumer}')
    listed, = json.loads(shell(f'openstack secret consumer list {ref} -f json'))
    assert (listed['Service'], listed['Resource type'], listed['Resource id']) == (
        'compute', 'server', 'abc')
    shell(f'openstack secret consumer delete {consumer}')
    assert km.get(ref + '/consumers').json()['total'] == 0
    shell(f'openstack secret consumer create {consumer}')
    assert 'has consumers' in shell(f'openstack secret delete {ref}', status=1)
    shell(f'openstack secret delete --force {ref}')
    assert km.get(ref).status_code == 404
