# SPDX-License-Identifier: Apache-2.0
"""Certificates from an EJBCA, over its REST interface. Nothing of other authorities belongs here."""
