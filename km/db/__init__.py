# SPDX-License-Identifier: Apache-2.0
"""The metadata: who owns what, under which name and rules. Never a payload, never ciphertext, never a
key in any wrapping. Tables are plain; functions take a connection first and give rows.
"""
