# SPDX-License-Identifier: Apache-2.0
"""What all tests share: a private folder, a clock that stands still, a whole km and who asks it."""
from datetime import datetime, timedelta

import pytest

from km.testing.application import Client, a_deployment


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self):
        self.now = datetime(2030, 1, 1, 12, 0, 0, 123456)

    def __call__(self):
        return self.now

    def forward(self, **time):
        self.now += timedelta(**time)


@pytest.fixture
def folder(tmp_path):
    """A folder nobody else can write to, as key files demand."""
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def house(folder, clock):
    """A whole km, without its sweeper running."""
    house = a_deployment(folder, clock=clock)
    yield house
    house.close()


@pytest.fixture
def ann(house):
    """A member of the project alpha."""
    return Client(house.application)


@pytest.fixture
def bob(house):
    """Another member of alpha."""
    return Client(house.application, user_id='bob')


@pytest.fixture
def admin(house):
    """An admin of alpha."""
    return Client(house.application, user_id='ada', roles='admin,member,reader')


@pytest.fixture
def eve(house):
    """A member of another project."""
    return Client(house.application, project_id='beta', user_id='eve')
