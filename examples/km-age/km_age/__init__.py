# SPDX-License-Identifier: Apache-2.0
"""A secret store for km: a folder of files encrypted with age (https://age-encryption.org/v1).

``store`` is the plugin; ``identities`` reads the file with its keys, ``folder`` writes and reads files.
"""
