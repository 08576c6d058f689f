# SPDX-License-Identifier: Apache-2.0
"""One module a step, numbered in the order they run."""
