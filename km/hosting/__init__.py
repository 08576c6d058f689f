# SPDX-License-Identifier: Apache-2.0
"""Plugins are guests: what the house does so that none of them can do it harm.

No plugin's own work belongs here, and nothing of what is kept in a store.
"""
