# SPDX-License-Identifier: Apache-2.0
"""A PKCS#11 token ("Cryptoki") as a process of many threads uses it: loaded, logged in to, recovered.

From the bottom up: ``library`` and ``module`` (the shared library, one a process), ``pins``,
``sessions`` and ``token`` (who is logged in, who works, what is done when it fails), ``failures`` (what
an error means); then ``suites``, ``master_keys`` and ``signing``, what km does with a token. No SQL
lives here.
"""
