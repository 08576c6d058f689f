# SPDX-License-Identifier: Apache-2.0
"""What km does: secrets into and out of stores, their metadata, their ACLs, and tidying up.

No HTTP and no vendor's name belongs here. Each function marked ``@task`` runs in the worker; it takes
a ``Context`` and plain values, and it keeps one shape: the intent into the row, the effect on the
store, the outcome into the row. No transaction is open while a store works.
"""
