# SPDX-License-Identifier: Apache-2.0
"""Who may do what. ``rules`` is every route there is, ``policies`` who may take it, ``decision`` the
answer, ``middleware`` the one place where it is asked. Controllers contain no authorization.
"""
