# SPDX-License-Identifier: Apache-2.0
"""Barbican's database, read and never written: its tables, its ciphertext, and what km makes of both.

Nothing here writes to km either; ``km.lifecycle.imports`` does. The tables are as Barbican 23 has them;
a table or column that an older one did not have yet reads as if nothing had ever been put there.
"""
