# SPDX-License-Identifier: Apache-2.0
"""Challenge responders: how km proves to an authority that a name is its operator's."""
