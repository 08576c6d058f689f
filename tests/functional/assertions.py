# SPDX-License-Identifier: Apache-2.0
"""What many functional tests say of a response."""
import pytest

from tests.functional.km_server import MARK

#: For tests that need several users: only Keystone has them.
with_keystone = pytest.mark.parametrize(
    'km', ['keystone', 'mariadb', 'pkcs11', 'kmip'], indirect=True, scope='session')
#: For tests of what is in the store's own database.
with_ciphertext = pytest.mark.parametrize(
    'km', ['standalone', 'keystone', 'mariadb', 'split', 'pkcs11'], indirect=True, scope='session')
#: For tests of what the quick start alone does.
standalone_only = pytest.mark.parametrize('km', ['standalone'], indirect=True, scope='session')


def assert_refused(response, *statuses):
    """It is a 4xx, one of ``statuses`` if any are given, in the contract's shape, and tells nothing."""
    status = response.status_code
    assert status in statuses if statuses else 400 <= status < 500, response.text
    assert response.headers['Content-Type'].startswith('application/json'), response.text
    told = response.json()
    assert set(told) == {'code', 'title', 'description'}
    assert told['code'] == status
    assert told['title']
    assert MARK not in response.text
