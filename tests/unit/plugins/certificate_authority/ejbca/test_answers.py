# SPDX-License-Identifier: Apache-2.0
"""Answers of EJBCA and of its token server that are as none should be."""
import json
from types import SimpleNamespace

import pytest

from km.plugins.certificate_authority.ejbca.approvals import _request_id
from km.plugins.certificate_authority.ejbca.connection import Answer
from km.plugins.certificate_authority.ejbca.failures import NoAnswer
from km.plugins.certificate_authority.ejbca.tokens import Tokens


@pytest.mark.parametrize('content', [
    b'{"access_token": "a", "token_type": "bearer", "expires_in": 1' + b'0' * 400 + b'}',
    b'{"access_token": "a", "token_type": "bearer", "expires_in": NaN}',
    b'{"access_token": 7, "token_type": "bearer"}', b'{"access_token": "a", "token_type": null}',
    b'{"access_token": "a b", "token_type": "bearer"}', b'[' * 100_000, b'\xff', b'', b'null'])
def test_a_token_that_is_none_is_no_crash(content):
    with pytest.raises(NoAnswer):
        Tokens(SimpleNamespace(name='blue'), None)._read(content)


@pytest.mark.parametrize(('told', 'number'), [
    ({'request_id': 7}, 7), ({'request_id': True}, None), ({'request_id': -7}, None),
    ({'request_id': 10 ** 400}, None), ({'link': 'https://a.test/approve/17/x'}, 17),
    ({'link': f'https://a.test/{"9" * 5000}'}, None), ({'link': 'https://a.test/²'}, None),
    ({'link': 5}, None), ({}, None)])
def test_a_number_by_which_people_are_asked_is_one_that_can_be_kept(told, number):
    assert _request_id(Answer(202, json.dumps(told).encode())) == number
