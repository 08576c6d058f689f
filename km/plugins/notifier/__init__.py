# SPDX-License-Identifier: Apache-2.0
"""Notifiers: who tells others of events, and how."""
