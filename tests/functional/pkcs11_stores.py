# SPDX-License-Identifier: Apache-2.0
"""Stores on PKCS#11 tokens, for tests."""
import contextlib

from km.plugins.secret_store.pkcs11 import Pkcs11
from km.testing import open_plugin


class WithoutMasterKey(Pkcs11):
    """A store that is logged in to its token and does no more."""

    def open(self):
        self.open_token()

    def close(self):
        self.close_token()


def new_master_key(settings):
    """Make a master key, as ``km-manage hsm`` does; its name."""
    with contextlib.closing(open_plugin(WithoutMasterKey, connection='sqlite://', **settings)) as store:
        return store.new_master_key()


def pkcs11_store(settings, folder, **more):
    """An open store that keeps its ciphertext in ``folder``."""
    return open_plugin(Pkcs11, connection=f'sqlite:///{folder}/hsm.sqlite', **settings, **more)
