# SPDX-License-Identifier: Apache-2.0
"""What is sealed opens as what it was, and nothing else opens at all."""
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from km.worker.seal import ANSWER, CALL, CAST, Refused, Seal

NOW = datetime(2030, 1, 1, 12, 0, 0, 123000)
KEYS = {'00' * 8: bytes(range(32))}
OTHER = {'11' * 8: bytes(32)}
VECTORS = json.loads(Path(__file__).with_name('seal_vectors.json').read_text())
MESSAGES = st.binary(max_size=2000)


@pytest.fixture
def seal():
    return Seal(KEYS)


@given(MESSAGES, st.sampled_from([CALL, CAST]))
def test_what_is_sealed_opens_as_it_was(message, purpose):
    seal = Seal(KEYS)
    number, sealed = seal.seal(message, purpose=purpose, now=NOW)
    opened = seal.open(sealed)
    assert (opened.purpose, opened.number, opened.sent, opened.message) == (
        purpose, number, NOW, message)


@given(MESSAGES, st.data())
def test_no_bit_of_a_message_can_be_changed(message, data):
    seal = Seal(KEYS)
    _, sealed = seal.seal(message, purpose=CALL, now=NOW)
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    changed = bytearray(sealed)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Refused):
        seal.open(bytes(changed))


@given(st.binary(max_size=300))
def test_what_was_not_sealed_does_not_open(message):
    with pytest.raises(Refused):
        Seal(KEYS).open(message)


def test_a_message_that_was_cut_does_not_open(seal):
    _, sealed = seal.seal(b'a message', purpose=CALL, now=NOW)
    for length in range(len(sealed)):
        with pytest.raises(Refused):
            seal.open(sealed[:length])


def test_two_seals_of_one_message_have_nothing_in_common_but_their_header(seal):
    first, second = (seal.seal(b'a message' * 9, purpose=CALL, now=NOW) for _ in range(2))
    assert first[0] != second[0]
    assert first[1][37:] != second[1][37:]


def test_an_answer_opens_for_the_request_it_belongs_to_alone(seal):
    one, other = (seal.seal(b'?', purpose=CALL, now=NOW)[0] for _ in range(2))
    _, answer = seal.seal(b'!', purpose=ANSWER, now=NOW, answers=one)
    assert seal.open(answer, answers=one).message == b'!'
    for number in (other, b''):
        with pytest.raises(Refused):
            seal.open(answer, answers=number)


def test_a_request_is_nobodys_answer(seal):
    number, sealed = seal.seal(b'?', purpose=CALL, now=NOW)
    with pytest.raises(Refused):
        seal.open(sealed, answers=number)


def test_the_first_key_seals_and_every_key_opens():
    _, sealed = Seal(OTHER).seal(b'old', purpose=CAST, now=NOW)
    both = Seal({**KEYS, **OTHER})
    assert both.open(sealed).message == b'old'
    _, sealed = both.seal(b'new', purpose=CAST, now=NOW)
    assert Seal(KEYS).open(sealed).message == b'new'


def test_a_key_that_is_not_there_is_named(seal):
    _, sealed = Seal(OTHER).seal(b'x', purpose=CALL, now=NOW)
    with pytest.raises(Refused, match='11' * 8):
        seal.open(sealed)


def test_another_key_of_the_same_name_does_not_open(seal):
    _, sealed = Seal({'00' * 8: bytes(32)}).seal(b'x', purpose=CALL, now=NOW)
    with pytest.raises(Refused):
        seal.open(sealed)


def test_nothing_shows_a_message_or_a_key(seal):
    _, sealed = seal.seal(b'unmistakable', purpose=CALL, now=NOW)
    opened = seal.open(sealed)
    assert 'unmistakable' not in repr(opened)
    assert repr(seal) == f'Seal({"00" * 8})'


@pytest.mark.parametrize('vector', VECTORS, ids=lambda vector: vector['what'])
def test_the_format_is_the_one_it_was(vector):
    seal = Seal({vector['key_id']: bytes.fromhex(vector['key'])})
    number, answers = bytes.fromhex(vector['number']), bytes.fromhex(vector['answers'])
    sent = datetime(1970, 1, 1) + timedelta(milliseconds=vector['milliseconds'])
    sealed = bytes.fromhex(vector['sealed'])
    assert seal.seal(bytes.fromhex(vector['message']), purpose=vector['purpose'], now=sent,
                     answers=answers, number=number) == (number, sealed)
    opened = seal.open(sealed, answers=answers)
    assert (opened.message.hex(), opened.purpose, opened.sent) == (
        vector['message'], vector['purpose'], sent)
