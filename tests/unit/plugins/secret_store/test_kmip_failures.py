# SPDX-License-Identifier: Apache-2.0
"""Each thing that goes wrong with a KMIP server has a sentence, and the operator's page has them all."""
from pathlib import Path

import pytest
from kmip.core.enums import ResultReason

from km.plugins.secret_store import kmip_failures

ROOT = Path(__file__).parents[4]
SENTENCES = {name: value for name, value in vars(kmip_failures).items()
             if name.isupper() and isinstance(value, str)}


def test_there_are_sentences_and_each_is_another():
    assert len(set(SENTENCES.values())) == len(SENTENCES) >= 17


@pytest.mark.parametrize('sentence', SENTENCES.values())
def test_a_sentence_is_explained_in_the_operators_page(sentence):
    assert sentence in (ROOT / 'doc/source/admin/kmip.rst').read_text().splitlines()


@pytest.mark.parametrize(('reason', 'error'), [
    (ResultReason.ITEM_NOT_FOUND, 'NotFound'), (ResultReason.OBJECT_DESTROYED, 'NotFound'),
    (ResultReason.INVALID_FIELD, 'Unavailable'), (ResultReason.PERMISSION_DENIED, 'Unavailable'),
    (ResultReason.GENERAL_FAILURE, 'Unavailable'), (ResultReason.OBJECT_ARCHIVED, 'Unavailable')])
def test_a_reason_of_the_server_is_an_error_of_kms(reason, error):
    assert type(kmip_failures.refusal(reason)).__name__ == error


def test_an_unknown_failure_to_connect_is_told():
    assert kmip_failures.broken_while_connecting(OSError()).sentence == kmip_failures.UNREACHABLE
    assert kmip_failures.broken_while_connecting(TimeoutError()).sentence == kmip_failures.NO_CONNECTION
