# SPDX-License-Identifier: Apache-2.0
"""Those who issue certificates, each beside the others and none above the rest of the plugins."""
