# SPDX-License-Identifier: Apache-2.0
"""Transports between API and worker: bytes in, bytes out."""
