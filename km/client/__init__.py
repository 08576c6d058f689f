# SPDX-License-Identifier: Apache-2.0
"""Commands of ``openstack`` that the stock key manager plugin has not; ``pip install km[client]``.

They stand beside the stock plugin: an API name, a command group and a client of their own, over the
session of the ``openstack`` command that runs them. What runs here runs on a user's machine, so
nothing else of km may be imported, and nothing of it imports this.
"""
