# SPDX-License-Identifier: Apache-2.0
"""What workers have seen."""
from km.db import messages


def test_a_number_is_new_once_until_it_is_forgotten(house, clock):
    with house.database.statement() as connection:
        assert messages.first_time(connection, b'\0' * 16, until=clock.now)
        assert not messages.first_time(connection, b'\0' * 16, until=clock.now)
        assert messages.first_time(connection, b'\1' * 16, until=clock.now)
        messages.forget(connection, now=clock.now)
        assert not messages.first_time(connection, b'\0' * 16, until=clock.now)
        clock.forward(seconds=1)
        messages.forget(connection, now=clock.now)
        assert messages.first_time(connection, b'\0' * 16, until=clock.now)
