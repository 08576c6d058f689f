# SPDX-License-Identifier: Apache-2.0
"""What Octavia asks when a load balancer gets a certificate and loses it, call by call (section 17.3).

The user's own token opens the secrets to Octavia's user, which is of another project; then Octavia
reads with its own.
"""
import os

import pytest
from barbicanclient import client as barbican
from barbicanclient.exceptions import HTTPClientError

from tests.functional.assertions import with_keystone
from tests.functional.km_server import new_text

pytestmark = with_keystone
USER, OCTAVIA = 'alpha-member', 'beta-member'
LISTENER = 'https://lb.example.org/v2.0/lbaas/listeners/7e1b3b4c'


@pytest.fixture
def user(km):
    return barbican.Client(session=km.session(USER), version='v1')


@pytest.fixture
def octavia(km):
    return barbican.Client(session=km.session(OCTAVIA), version='v1')


def let_in(km, user, ref):
    """Add Octavia to an ACL, as Octavia does with the user's token: read all, write all."""
    acl = user.acls.get(entity_ref=ref)
    acl.read.users = [*(acl.read.users or []), km.user_id(OCTAVIA)]
    acl.submit()


def shut_out(km, user, ref):
    acl = user.acls.get(entity_ref=ref)
    acl.read.users.remove(km.user_id(OCTAVIA))
    acl.submit()


def test_a_certificate_in_one_secret(km, user, octavia):
    bundle = km.hide(os.urandom(2000))
    ref = user.secrets.create(name='tls', payload=bundle).store()
    with pytest.raises(HTTPClientError) as refused:
        _ = octavia.secrets.get(ref).payload
    assert refused.value.status_code == 403
    let_in(km, user, ref)
    for _ in range(2):
        octavia.secrets.register_consumer(
            ref, service='Octavia', resource_type='listeners', resource_id='7e1b3b4c')
    assert octavia.secrets.get(ref).payload == bundle
    octavia.secrets.remove_consumer(
        ref, service='Octavia', resource_type='listeners', resource_id='7e1b3b4c')
    shut_out(km, user, ref)
    with pytest.raises(HTTPClientError):
        _ = octavia.secrets.get(ref).payload


def test_a_certificate_in_a_container(km, user, octavia):
    payloads = {name: km.hide(new_text()) for name in (
        'certificate', 'private_key', 'intermediates', 'private_key_passphrase')}
    secrets = {name: user.secrets.create(name=name, payload=payload)
               for name, payload in payloads.items()}
    refs = [secret.store() for secret in secrets.values()]
    box = user.containers.create_certificate(name='tls', **secrets).store()

    # First it takes what it was given for a secret.
    with pytest.raises(HTTPClientError) as refused:
        _ = octavia.secrets.get(box).payload
    assert refused.value.status_code == 404

    for ref in (box, *refs):
        let_in(km, user, ref)
    for _ in range(2):
        found = octavia.containers.register_consumer(
            container_ref=box, name='Octavia', url=LISTENER)
        assert {name: getattr(found, name).payload for name in payloads} == payloads
    assert user.containers.get(box).consumers == [{'name': 'Octavia', 'URL': LISTENER}]

    octavia.containers.remove_consumer(container_ref=box, name='Octavia', url=LISTENER)
    for ref in (box, *refs):
        shut_out(km, user, ref)
    with pytest.raises(HTTPClientError) as refused:
        octavia.containers.get(box)
    assert refused.value.status_code == 403
    assert user.containers.get(box).consumers == []
