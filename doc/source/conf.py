# SPDX-License-Identifier: Apache-2.0
"""Sphinx, for "tox -e docs"."""
project = 'km'
copyright = 'the km authors'  # noqa: A001  Sphinx's name for it
extensions: list[str] = []
html_theme = 'alabaster'
