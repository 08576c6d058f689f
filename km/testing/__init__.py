# SPDX-License-Identifier: Apache-2.0
"""For the tests of plugin authors, and km's own: contract suites, plugins in memory, a whole app.

Needs the extra ``km[testing]``. ``km.testing.secret_store.SecretStoreContract`` is the place to
start; ``tests/contract/`` in km's source shows it at work.
"""
from km.testing.plugins import MemoryStore, open_plugin

__all__ = ['MemoryStore', 'open_plugin']
