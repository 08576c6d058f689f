# SPDX-License-Identifier: Apache-2.0
"""A km whose default store is a token, or a key server."""
import contextlib
import functools
import sqlite3
from pathlib import Path

from tests.functional.km_server import Km, behind_keystone
from tests.functional.kmip_server import kmip
from tests.functional.softhsm import softhsm

_SECTION = 'secret_store:soft'  # by this name the tests know the default store


class TokenKm(Km):
    """A km whose master key is in a token."""

    def _keys(self):
        yield Path(self.option(_SECTION, 'pin_file')).read_text().strip()


class KeyServerKm(Km):
    """A km whose payloads are in a KMIP server, and whose store so has no database.

    :ivar server: the KMIP server.
    """

    ciphertext = None

    def __init__(self, *, server, **more):
        super().__init__('kmip', **more)
        self.server = server
        self.hide(''.join(Path(self.option(_SECTION, 'key_file')).read_text().splitlines()[1:-1]))

    def kept(self, secret_id):
        with sqlite3.connect(self.server.database) as objects:
            return objects.execute(
                'SELECT count(*) FROM managed_objects JOIN managed_object_names ON uid = mo_uid '
                'WHERE name LIKE ?', (f'%{secret_id}%',)).fetchone()[0]

    def close(self):
        self.metadata.dispose()

    def _keys(self):
        return ()


@contextlib.contextmanager
def in_a_token(folder, postgresql, keystone):
    """Run a km with a PKCS#11 store on SoftHSM2; give a ``TokenKm``."""
    with softhsm(folder) as token, behind_keystone(
            folder, postgresql, keystone, name='km_token', first=[('hsm', 'init', 'soft')],
            make=functools.partial(TokenKm, 'pkcs11'), sections={_SECTION: {
                'plugin': 'pkcs11', **token.settings, 'kek_file': None}}) as km:
        yield km


@contextlib.contextmanager
def in_a_key_server(folder, postgresql, keystone):
    """Run a km with a KMIP store on PyKMIP's server; give a ``KeyServerKm``."""
    with kmip(folder) as server, behind_keystone(
            folder, postgresql, keystone, name='km_kmip',
            make=functools.partial(KeyServerKm, server=server), sections={_SECTION: {
                'plugin': 'kmip', **server.options(), 'kek_file': None, 'connection': None}}) as km:
        yield km
