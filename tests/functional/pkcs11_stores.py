# SPDX-License-Identifier: Apache-2.0
"""Stores on PKCS#11 tokens, for tests."""
import contextlib
import time

from km.interfaces import Unavailable
from km.plugins.secret_store.pkcs11 import Pkcs11
from km.testing import open_plugin

#: How soon everything must be right again.
SOON = 10.0


class WithoutMasterKey(Pkcs11):
    """A store that is logged in to its token and does no more."""

    def open(self):
        self.open_token()

    def close(self):
        self.close_token()


class OpenedLater(Pkcs11):
    """A store that a test opens itself, by ``Pkcs11.open``."""

    def open(self):
        pass


def new_master_key(settings):
    """Make a master key, as ``km-manage hsm`` does; its name."""
    with contextlib.closing(open_plugin(WithoutMasterKey, connection='sqlite://', **settings)) as store:
        return store.new_master_key()


def pkcs11_store(settings, folder, **more):
    """An open store that keeps its ciphertext in ``folder``."""
    return open_plugin(Pkcs11, connection=f'sqlite:///{folder}/hsm.sqlite', **{**settings, **more})


def asks(store):
    """Ask the token for something, whatever is in memory; 32 zeros if all is well."""
    return store.unwrap(store.wrap(bytes(32), b'context'), b'context')


def back(store):
    """Wait until a store works again."""
    ended = time.monotonic() + SOON
    while time.monotonic() < ended:
        with contextlib.suppress(Unavailable):
            asks(store)
            return
        time.sleep(0.05)
    raise AssertionError('it does not come back')
