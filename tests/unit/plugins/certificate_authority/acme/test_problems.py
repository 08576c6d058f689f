# SPDX-License-Identifier: Apache-2.0
"""What an authority's refusals mean, whatever it writes into them."""
import pytest

from km.interfaces import Rejected, Unavailable
from km.plugins.certificate_authority.acme.problems import cleaned, described, refusal

URN = 'urn:ietf:params:acme:error:'


@pytest.mark.parametrize(('status', 'error'), [
    (301, Unavailable), (400, Rejected), (403, Rejected), (404, Rejected), (408, Unavailable),
    (429, Unavailable), (500, Unavailable), (599, Unavailable)])
def test_without_a_type_the_status_decides(status, error):
    assert type(refusal(status, None, None).told()) is error


@pytest.mark.parametrize(('kind', 'error'), [
    (f'{URN}rateLimited', Unavailable), (f'{URN}badNonce', Unavailable), (f'{URN}compound', Rejected),
    (f'{URN}rateLimitedX', Rejected), ('about:blank', Rejected), (7, Rejected), (None, Rejected)])
def test_the_type_decides_and_no_text(kind, error):
    document = {'type': kind, 'detail': 'rateLimited serverInternal', 'title': f'{URN}rateLimited'}
    assert type(refusal(400, document, None).told()) is error


def test_when_to_ask_again_is_told():
    assert refusal(403, {'type': f'{URN}rateLimited'}, 7.0).told().retry_after_seconds == 7


@pytest.mark.parametrize('document', [
    None, 7, [], 'text', {}, {'type': f'{URN}dns', 'detail': ['x'], 'subproblems': {'a': 1}},
    {'type': {}, 'title': None, 'identifier': 'x', 'subproblems': [1, None, {}, {'identifier': {}}]}])
def test_whatever_the_document_is_there_is_a_sentence(document):
    told = refusal(400, document, None).told()
    assert told.sentence.startswith('The authority ')
    assert described(document)


def test_a_sentence_is_short_and_on_one_line():
    document = {'type': URN + 'x' * 10**6, 'detail': 'a\r\nb\x00\x1b[2J\u202e\ud800 ' * 10**4,
                'subproblems': [{'type': URN, 'detail': 'y' * 10**5}] * 1000}
    sentence = refusal(400, document, None).told().sentence
    assert len(sentence) <= 1030
    assert sentence.isprintable()
    sentence.encode()


def test_what_people_do_not_see_is_taken_out_and_the_rest_stays():
    assert cleaned(' Müller\u200b\u2028 & Söhne\n') == 'Müller & Söhne'
    assert cleaned(b'bytes') == ''


def test_the_details_the_types_and_the_names_are_in_the_sentence():
    document = {'type': f'{URN}compound', 'detail': 'Two problems.', 'subproblems': [
        {'type': f'{URN}caa', 'detail': 'Forbidden.', 'identifier': {'type': 'dns', 'value': 'a.test'}},
        {'type': 'https://ca.test/odd', 'title': 'Odd'}]}
    assert described(document) == (
        'Two problems. (compound); a.test: Forbidden. (caa); Odd (https://ca.test/odd)')
