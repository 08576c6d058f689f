# SPDX-License-Identifier: Apache-2.0
"""Rows of Barbican's p11_crypto that are refused before any token is asked."""
import base64
import json
from types import SimpleNamespace

import pytest
from pkcs11 import exceptions as ck

from km.barbican.p11_crypto import P11Crypto, Token
from km.errors import CannotOpen, Misconfigured, Unavailable

SOME = base64.b64encode(b'some bytes').decode()
WRAPPED = {'iv': SOME, 'wrapped_key': SOME, 'hmac': SOME, 'mkek_label': 'm', 'hmac_label': 'h'}
SEALED = {'iv': SOME, 'mechanism': 'CKM_AES_CBC'}


@pytest.fixture
def opener():
    return P11Crypto(Token(library='/no/library.so', pin='a secret PIN'))


@pytest.mark.parametrize(('noted', 'said'), [
    (b'no json', 'cannot be read'),
    (b'[]', 'cannot be read'),
    (json.dumps({**WRAPPED, 'hmac': 'a'}).encode(), 'is no base64'),
    (json.dumps({**WRAPPED, 'hmac': 5}).encode(), 'is no base64'),
    (json.dumps({'iv': None}).encode(), "wrapped in a way km has not: 'wrapped_key'"),
    (json.dumps({**WRAPPED, 'key_wrap_mechanism': 'CKM_OTHER'}).encode(), "has not: 'CKM_OTHER'"),
])
def test_a_key_that_was_noted_in_another_way_does_not_open(opener, noted, said):
    with pytest.raises(CannotOpen, match=said):
        opener.check(noted)
    with pytest.raises(CannotOpen, match=said):
        opener.open(noted, b'', json.dumps(SEALED).encode())


@pytest.mark.parametrize(('noted', 'said'), [
    (None, 'sealed by None'),
    (b'no json', 'cannot be read'),
    (b'{"mechanism": "CKM_AES_CBC"}', 'sealed by CKM_AES_CBC'),
    (b'{"iv": "AAAA", "mechanism": "CKM_AES_CTR"}', 'sealed by CKM_AES_CTR, which km has not'),
])
def test_a_payload_that_was_sealed_in_another_way_does_not_open(opener, noted, said):
    with pytest.raises(CannotOpen, match=said):
        opener.open(json.dumps(WRAPPED).encode(), b'', noted)


def test_the_token_is_asked_only_now_and_the_pin_is_in_no_repr(opener):
    with pytest.raises(Misconfigured, match='library_path: this library') as caught:
        opener.check(json.dumps(WRAPPED).encode())
    assert 'PIN' not in repr(caught.value) + repr(opener._token)
    opener.close()


@pytest.mark.parametrize('lost', [ck.DeviceError, ck.DeviceRemoved, ck.SessionHandleInvalid,
                                  ck.TokenNotPresent, ck.UserNotLoggedIn])
def test_a_token_that_is_lost_on_the_way_is_not_a_payload_that_does_not_open(opener, lost):
    def fails(*_):
        raise lost

    opener._session = SimpleNamespace(get_objects=fails, close=lambda: None)
    with pytest.raises(Unavailable, match=f'does not answer .{lost.__name__}.'):
        opener.open(json.dumps(WRAPPED).encode(), b'', json.dumps(SEALED).encode())
