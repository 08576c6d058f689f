# SPDX-License-Identifier: Apache-2.0
"""X.509 as bytes: what every authority's requests and certificates are held against.

There are pure functions here, from DER to values. No HTTP, no database and no plugin ever is: of km only
``km.errors`` is imported.
"""
