# SPDX-License-Identifier: Apache-2.0
"""For the tests of plugin authors, and km's own: contract suites, plugins in memory, a whole app.

Needs the extra ``km[testing]``. ``km.testing.secret_store.SecretStoreContract`` is the place to
start; ``key_generator``, ``signing_store`` and ``key_rotation`` go on from there. ``tests/contract/`` in
km's source shows them at work.
"""
from km.testing.memory_authority import MemoryAuthority
from km.testing.memory_hierarchy import MemoryHierarchy
from km.testing.memory_key_store import MemoryKeyStore
from km.testing.plugins import MemoryStore, open_authority, open_plugin

__all__ = ['MemoryAuthority', 'MemoryHierarchy', 'MemoryKeyStore', 'MemoryStore', 'open_authority',
           'open_plugin']
