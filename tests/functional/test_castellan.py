# SPDX-License-Identifier: Apache-2.0
"""castellan's barbican key manager, the way Nova, Cinder and Glance reach km."""
import os

import pytest
from castellan import key_manager
from castellan.common.credentials.keystone_password import KeystonePassword
from castellan.common.credentials.keystone_token import KeystoneToken
from castellan.common.exception import KeyManagerError, ManagedObjectNotFoundError
from castellan.common.objects.opaque_data import OpaqueData
from castellan.common.objects.passphrase import Passphrase
from castellan.common.objects.private_key import PrivateKey
from castellan.common.objects.public_key import PublicKey
from castellan.common.objects.symmetric_key import SymmetricKey
from castellan.options import set_defaults
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from oslo_config import cfg

from tests.functional.assertions import with_keystone
from tests.functional.km_server import new_text

pytestmark = with_keystone
_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = _RSA.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
PUBLIC = _RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
OBJECTS = {
    'symmetric': lambda: SymmetricKey('AES', 256, os.urandom(32), name='volume'),
    'a key of 512 bits': lambda: SymmetricKey('aes', 512, os.urandom(64)),
    'passphrase': lambda: Passphrase(new_text().encode(), name='unlock'),
    'opaque': lambda: OpaqueData(os.urandom(50), name='anything'),
    'private': lambda: PrivateKey('RSA', 2048, PRIVATE, name='mine'),
    'public': lambda: PublicKey('RSA', 2048, PUBLIC, name='yours'),
}


@pytest.fixture
def manager(km):
    """castellan, configured as a service has it."""
    conf = cfg.ConfigOpts()
    conf([], project='castellan')
    set_defaults(conf, backend='barbican', auth_endpoint=km.keystone.auth_url)
    return key_manager.API(conf)


def context(km, who='alpha-member'):
    """One of Keystone's users."""
    user = km.keystone.user(who)
    return KeystonePassword(
        auth_url=km.keystone.auth_url, username=user.name, password=user.password,
        project_name=user.project, user_domain_id='default', project_domain_id='default')


@pytest.mark.parametrize('make', OBJECTS.values(), ids=OBJECTS)
def test_what_castellan_stores_it_gets_again(km, manager, make):
    stored = make()
    km.hide(stored.get_encoded())
    id_ = manager.store(context(km), stored)
    read = manager.get(context(km), id_)
    assert type(read) is type(stored)
    assert read.get_encoded() == stored.get_encoded()
    assert (read.name, read.id) == (stored.name, id_)
    if isinstance(stored, SymmetricKey):
        assert (read.algorithm, read.bit_length) == (stored.algorithm, stored.bit_length)
    assert manager.get(context(km), id_, metadata_only=True).is_metadata_only()
    manager.delete(context(km), id_)
    with pytest.raises(ManagedObjectNotFoundError):
        manager.get(context(km), id_)
    with pytest.raises(ManagedObjectNotFoundError):
        manager.delete(context(km), id_)


def test_castellan_lists_what_is_there(km, manager):
    who = 'beta-admin'
    mine = Passphrase(km.hide(new_text().encode()), name='listed')
    id_ = manager.store(context(km, who), mine)
    listed = manager.list(context(km, who), object_type=Passphrase)
    assert mine.get_encoded() in [found.get_encoded() for found in listed]
    assert id_ in [found.id for found in manager.list(context(km, who), metadata_only=True)]


def test_castellan_works_with_a_token_as_services_do(km, manager):
    token = km.hide(km.keystone.token('alpha-member'))
    user = KeystoneToken(token=token, auth_url=km.keystone.auth_url, project_name='alpha',
                         project_domain_id='default')
    stored = SymmetricKey('AES', 256, km.hide(os.urandom(32)))
    assert manager.get(user, manager.store(user, stored)).get_encoded() == stored.get_encoded()


def test_castellan_gets_no_secret_of_another_project(km, manager):
    id_ = manager.store(context(km), OpaqueData(km.hide(os.urandom(50))))
    with pytest.raises(KeyManagerError):
        manager.get(context(km, 'beta-member'), id_)
    km.put(f'/v1/secrets/{id_}/acl', {'read': {'users': [km.user_id('beta-member')]}})
    assert manager.get(context(km, 'beta-member'), id_).get_encoded()


@pytest.mark.parametrize('id_', ['00000000-0000-0000-0000-000000000000',
                                 '5a8b8f0d-7e6a-4c9d-9e57-3f1f2b1c0d11'])
def test_castellan_understands_that_a_key_is_not_there(km, manager, id_):
    with pytest.raises(ManagedObjectNotFoundError):
        manager.get(context(km), id_)
