# SPDX-License-Identifier: Apache-2.0
"""The plugins that come with km. They import ``km.interfaces`` and their own libraries, as guests do."""
