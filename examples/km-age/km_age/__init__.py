# SPDX-License-Identifier: Apache-2.0
"""A secret store for km: a folder of files encrypted with age (https://age-encryption.org/v1). And a
certificate authority, a small one, whose key is in such a file.

``store`` and ``authority`` are the plugins; ``identities`` reads the file with their keys, ``folder``
writes and reads files.
"""
