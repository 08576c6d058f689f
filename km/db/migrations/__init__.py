# SPDX-License-Identifier: Apache-2.0
"""Alembic's steps. A released step is never changed; ``km-manage db upgrade`` runs what is missing."""
