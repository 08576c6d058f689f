# SPDX-License-Identifier: Apache-2.0
"""Importing the plugin interfaces costs a plugin nothing."""
import subprocess
import sys

WHAT_IT_LOADS = (
    'import sys; before = set(sys.modules); import km.interfaces; '
    'print(*sorted(set(sys.modules) - before))')


def test_importing_the_interfaces_loads_the_standard_library_and_the_errors_alone():
    said = subprocess.run(
        [sys.executable, '-c', WHAT_IT_LOADS], capture_output=True, text=True, check=True)
    loaded = said.stdout.split()
    assert {name.partition('.')[0] for name in loaded} - {'km'} <= sys.stdlib_module_names
    assert {'.'.join(name.split('.')[:2]) for name in loaded if name.startswith('km')} == {
        'km', 'km.errors', 'km.interfaces'}
