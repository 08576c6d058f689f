# SPDX-License-Identifier: Apache-2.0
"""HTTP in, HTTP out: JSON, base64, statuses and links live here and nowhere else."""
