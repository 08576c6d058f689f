# SPDX-License-Identifier: Apache-2.0
"""What a request costs in km, beside what it costs in the smallest Pecan application; see README.rst."""
