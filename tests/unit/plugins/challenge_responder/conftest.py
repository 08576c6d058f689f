# SPDX-License-Identifier: Apache-2.0
"""What the tests of responders that listen share."""
import socket

import pytest


@pytest.fixture
def port():
    """A port that stays ours, and that who sets SO_REUSEADDR can listen on."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(('127.0.0.1', 0))
        yield holder.getsockname()[1]
