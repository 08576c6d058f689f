# SPDX-License-Identifier: Apache-2.0
"""km, the key manager. README.rst is the front door and holds the map of the rooms."""
