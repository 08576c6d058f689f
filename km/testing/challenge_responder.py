# SPDX-License-Identifier: Apache-2.0
"""What km asks of every challenge responder, as tests.

Subclass it in a test module of yours, and give it a responder and the view of an authority::

    class TestOurDns(ChallengeResponderContract):
        @pytest.fixture
        def responder(self, server):
            return open_plugin(OurDns, server=server.address)

        @pytest.fixture
        def seen(self, server):
            return lambda challenge: dns_01_value(challenge) in server.txt(challenge.identifier)
"""
import base64
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from km.interfaces import Challenge, ChallengeResponder, KmError

_KINDS = ('http-01', 'dns-01', 'tls-alpn-01')
_SECONDS = 30.0
_PAUSE_SECONDS = 0.02
_MAX_PAUSE_SECONDS = 1.0


class ChallengeResponderContract:
    """Subclasses give a fixture ``responder``, an open one, and a fixture ``seen``: a function of a
    challenge to whether an authority that looked now would see its proof. They may give others too:
    ``identifier``, a domain name that it answers for, and ``another``, a function that opens one more
    with the same settings."""

    @pytest.fixture
    def responder(self) -> Iterator[ChallengeResponder]:
        raise NotImplementedError('give your contract suite a fixture named responder')

    @pytest.fixture
    def seen(self) -> Callable[[Challenge], bool]:
        raise NotImplementedError('give your contract suite a fixture named seen')

    @pytest.fixture
    def identifier(self) -> str:
        return 'a.example'

    @pytest.fixture
    def another(self, responder) -> Iterator[Callable[[], ChallengeResponder]]:
        opened = []

        def make() -> ChallengeResponder:
            made = type(responder)(responder.name, responder.settings)
            made.open()
            opened.append(made)
            return made

        yield make
        for made in opened:
            made.close()

    def test_it_is_of_a_kind_that_there_is(self, responder):
        assert responder.kind in _KINDS

    def test_a_proof_is_seen_from_when_that_is_said_until_it_is_taken_away(
            self, responder, seen, identifier):
        challenge = _challenge(identifier)
        assert not seen(challenge)
        _presented(responder, challenge)
        assert seen(challenge)
        responder.remove(challenge)
        _require_gone(seen, challenge)

    def test_both_are_asked_for_twice_without_an_error(self, responder, seen, identifier):
        challenge = _challenge(identifier)
        _presented(responder, challenge)
        _presented(responder, challenge)
        assert seen(challenge)
        responder.remove(challenge)
        responder.remove(challenge)
        _require_gone(seen, challenge)

    def test_taking_away_what_was_never_there_is_no_error(self, responder, seen, identifier):
        responder.remove(_challenge(identifier))

    def test_another_process_takes_a_proof_away(self, responder, seen, identifier, another):
        challenge = _challenge(identifier)
        _presented(responder, challenge)
        other = another()
        assert seen(challenge)
        other.remove(challenge)
        _require_gone(seen, challenge)

    def test_proofs_of_several_orders_at_once_stay_until_each_is_taken_away(
            self, responder, seen, identifier):
        if responder.kind == 'tls-alpn-01':
            return  # there is one certificate for a name, and so one proof
        one, other = _challenge(identifier), _challenge(identifier)
        _presented(responder, one)
        _presented(responder, other)
        assert seen(one)
        assert seen(other)
        responder.remove(one)
        _require_gone(seen, one)
        assert seen(other)
        responder.remove(other)
        _require_gone(seen, other)

    def test_threads_present_and_take_away(self, responder, seen, identifier):
        def there_and_back(number: int) -> bool:
            challenge = _challenge(f'{number}.{identifier}')
            _presented(responder, challenge)
            found = seen(challenge)
            responder.remove(challenge)
            return found

        with ThreadPoolExecutor(4) as threads:
            assert all(threads.map(there_and_back, range(8)))

    def test_neither_its_log_nor_its_errors_have_what_proves_it(
            self, responder, identifier, caplog):
        caplog.set_level(logging.DEBUG)
        challenge = _challenge(identifier)
        odd = Challenge(identifier='../..', token='..', key_authorization=challenge.key_authorization)
        said = []
        for asked in (challenge, odd):
            for call in (responder.present, responder.remove):
                try:
                    call(asked)
                except KmError as error:
                    said.append(f'{error!r} {error}')
        responder.remove(challenge)
        thumbprint = challenge.key_authorization.partition('.')[2]
        assert thumbprint not in f'{said} {caplog.text}'

    def test_check_says_in_one_line_how_it_is(self, responder):
        said = responder.check()
        assert said and '\n' not in said


def _challenge(identifier: str) -> Challenge:
    token, thumbprint = (base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b'=').decode()
                         for _ in range(2))
    return Challenge(identifier=identifier, token=token, key_authorization=f'{token}.{thumbprint}')


def _presented(responder: Any, challenge: Challenge) -> None:
    """Call until it says that the proof is visible, and for no longer than a while."""
    ends = time.monotonic() + _SECONDS
    while wait := responder.present(challenge):
        assert wait > 0
        assert time.monotonic() < ends
        time.sleep(min(wait, _MAX_PAUSE_SECONDS))


def _require_gone(seen: Callable[[Challenge], bool], challenge: Challenge) -> None:
    ends = time.monotonic() + _SECONDS
    while seen(challenge):
        assert time.monotonic() < ends
        time.sleep(_PAUSE_SECONDS)
