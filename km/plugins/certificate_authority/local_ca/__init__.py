# SPDX-License-Identifier: Apache-2.0
"""The Local CA: km's own certificate authority. Its keys stay in a secret store that signs, its records
in a database of its own; ``plugin`` is the door."""
