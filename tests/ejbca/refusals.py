# SPDX-License-Identifier: Apache-2.0
"""How the stand-in says no, or not yet."""


class Refusal(Exception):
    """No, with a status of HTTP and a message."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status, self.message = status, message


class Waiting(Exception):
    """People have to approve it first, by the number of the request."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number
