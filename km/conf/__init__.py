# SPDX-License-Identifier: Apache-2.0
"""The options of km, a module a group. ``load`` reads them; nobody else touches oslo.config's global."""
