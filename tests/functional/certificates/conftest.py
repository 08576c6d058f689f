# SPDX-License-Identifier: Apache-2.0
"""What the tests of certificates stand on: other people's servers, started when a test needs them."""
import pytest

from tests.functional.certificates import km_with_authorities
from tests.functional.certificates.acme2certifier_venv import acme2certifier_venv as new_venv


@pytest.fixture(scope='session')
def acme2certifier_venv(tmp_path_factory):
    """The python of an environment that has acme2certifier."""
    return new_venv(tmp_path_factory.mktemp('acme2certifier'))


@pytest.fixture(scope='package')
def km_in_a_token(tmp_path_factory, postgresql, keystone):
    """A km behind Keystone, with the keys of its authority in a token."""
    yield from km_with_authorities.running(km_with_authorities.in_a_token(
        km_with_authorities.private(tmp_path_factory, 'in-a-token'), postgresql, keystone))
