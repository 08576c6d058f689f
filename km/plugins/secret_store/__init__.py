# SPDX-License-Identifier: Apache-2.0
"""Secret stores: where payloads are kept, never what they are called or who may read them."""
