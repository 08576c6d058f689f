# SPDX-License-Identifier: Apache-2.0
"""The application km is compared with: the first one in Pecan's documentation."""
import pecan


class RootController:

    @pecan.expose()
    def index(self):
        return 'Hello, World!'


application = pecan.make_app(RootController())
