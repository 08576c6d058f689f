# SPDX-License-Identifier: Apache-2.0
"""What is made of a token that fails while it is tried what it can do."""
from types import SimpleNamespace

import pytest
from pkcs11 import exceptions as ck

from km.plugins.secret_store.cryptoki import payloads, suites
from km.plugins.secret_store.cryptoki.sessions import Lease

SAYS_NOTHING = (ck.DeviceError, ck.DeviceMemory, ck.DeviceRemoved, ck.HostMemory, ck.SessionCount,
                ck.SessionHandleInvalid, ck.TokenNotPresent, ck.TokenNotRecognised, ck.UserNotLoggedIn)


def failing(error):
    """A session of a token that answers everything so, and a master key of it."""
    def fails(*_, **__):
        raise error

    session = SimpleNamespace(create_object=fails)
    return session, suites.Objects(session, 'new', SimpleNamespace(encrypt=fails), SimpleNamespace())


@pytest.mark.parametrize('error', SAYS_NOTHING)
@pytest.mark.parametrize('suite', ['gcm', 'kw'])
def test_a_token_that_is_lost_or_full_is_not_said_to_have_no_such_suite(suite, error):
    session, by = failing(error)
    with pytest.raises(error):
        suites.works(suites.SUITES[suite], by)
    with pytest.raises(error):
        payloads.works(Lease(session, 0))


@pytest.mark.parametrize('error', [ck.MechanismInvalid, ck.FunctionNotSupported, ck.GeneralError])
def test_a_token_that_refuses_has_no_such_suite(error):
    session, by = failing(error)
    assert not suites.works(suites.SUITES['gcm'], by)
    assert not payloads.works(Lease(session, 0))
