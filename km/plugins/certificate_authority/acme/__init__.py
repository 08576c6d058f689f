# SPDX-License-Identifier: Apache-2.0
"""An authority that is asked by ACME (RFC 8555): ``plugin`` is the plugin, and the place to begin.

``transport`` speaks HTTPS, ``conversation`` signs and repeats, ``session`` does so as our ``account``,
whose key is one of ``account_keys``. ``orders`` goes on with an order, ``challenges`` has names proved,
``chains`` fetches the certificate, ``renewal`` asks when to have another. ``problems`` is all that is
known of an authority's refusals.

Of the library ``acme`` only what signs is used: its client sleeps while it waits, and repeats a message
whose nonce was refused just once.
"""
