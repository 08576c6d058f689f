# SPDX-License-Identifier: Apache-2.0
"""One door to work: the API names a task, the worker runs it, near or far.

What crosses is always bytes, so nothing works in one process that would fail between two.
"""
