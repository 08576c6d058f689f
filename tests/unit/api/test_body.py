# SPDX-License-Identifier: Apache-2.0
"""JSON is read once, and strictly."""
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webob import Request

from km.api import body
from km.errors import Malformed

NASTY = {
    'nothing': b'', 'no object': b'[]', 'a string': b'"x"', 'not JSON': b'{', 'trailing': b'{} {}',
    'nested 20,000 deep': b'{"a":' * 20000 + b'1' + b'}' * 20000,
    'lists 20,000 deep': b'{"a":' + b'[' * 20000 + b']' * 20000 + b'}',
    'nested 33 deep': b'{"a":' * 33 + b'1' + b'}' * 33,
    'a key twice': b'{"name": "a", "name": "b"}', 'a key twice within': b'{"x": {"a": 1, "a": 1}}',
    'half a surrogate pair': b'{"name": "\\ud800"}', 'half a pair as key': b'{"\\ud800": 1}',
    'half a pair in a payload': b'{"payload": "\\ud800"}',
    'NUL': b'{"name": "a\\u0000b"}', 'NUL in a key': b'{"a\\u0000": 1}',
    'NUL in a payload': b'{"payload": "\\u0000"}', 'NUL within': b'{"x": [["\\u0000"]]}',
    'a very long number': b'{"bit_length": ' + b'9' * 10000 + b'}',
    'a number without end': b'{"bit_length": 1e999}', 'NaN': b'{"bit_length": NaN}',
    'Infinity': b'{"bit_length": -Infinity}', 'not UTF-8': b'{"name": "\xff"}',
    'UTF-16': '{"name": "x"}'.encode('utf-16'), 'a byte order mark': b'\xef\xbb\xbf{}',
}


def read(text, content_type='application/json', **options):
    request = Request.blank('/', method='POST', body=text)
    request.headers['Content-Type'] = content_type
    return body.read(request, **options)


@pytest.mark.parametrize('text', NASTY.values(), ids=NASTY.keys())
def test_what_is_no_strict_json_object_is_malformed(text):
    with pytest.raises(Malformed, match='Malformed JSON'):
        read(text, verbatim=frozenset(['payload']))


@pytest.mark.parametrize('text', NASTY.values(), ids=NASTY.keys())
def test_over_http_it_is_a_400_in_the_contracts_shape(ann, text):
    refused = ann.ask('POST', '/v1/secrets', body=text, Content_Type='application/json')
    assert refused.status_int in (400, 413)
    assert refused.json['code'] == refused.status_int
    assert refused.json['description'] in (
        'Malformed JSON', 'Provided information too large to process')


@pytest.mark.parametrize('declared', [
    '', 'text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x',
    'application/jsonx', 'application/octet-stream'])
def test_another_content_type_is_415(ann, declared):
    refused = ann.ask('POST', '/v1/secrets', body=b'{}', Content_Type=declared)
    assert refused.status_int == 415
    assert refused.json['description'] == (
        "Unexpected content type. Expected content types are: ['application/json']")


@pytest.mark.parametrize('declared', [
    'application/json;charset=utf-8', 'APPLICATION/JSON', ' application/json ; x=y'])
def test_parameters_and_case_of_the_content_type_do_not_matter(declared):
    assert read(b'{}', declared) == {}


def test_strings_are_trimmed_all_the_way_down_but_for_those_kept_verbatim():
    assert read(b'{"a": " x ", "b": [" y "], "p": " z ", "q": {"p": " z "}}',
                verbatim=frozenset('p')) == {'a': 'x', 'b': ['y'], 'p': ' z ', 'q': {'p': 'z'}}


@given(st.dictionaries(
    st.text(st.characters(exclude_categories=['Cs'], exclude_characters='\0')),
    st.recursive(st.none() | st.booleans() | st.integers()
                 | st.floats(allow_nan=False, allow_infinity=False),
                 lambda inner: st.lists(inner, max_size=3), max_leaves=8)))
def test_any_plain_object_reads_as_it_was_written(value):
    assert read(json.dumps(value).encode()) == value


def test_a_long_number_counts_only_where_km_reads_it(ann):
    assert ann.post('/v1/secrets', {'colour': 10 ** 30}).status_int == 201
    assert ann.post('/v1/secrets', {'bit_length': 10 ** 30}).status_int == 400


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_malformed(text):
    with contextlib.suppress(Malformed):
        assert isinstance(read(text), dict)


@pytest.mark.parametrize(('length', 'status'), [
    ('25000', 400), ('25001', 413), ('9' * 30, 413), ('0' * 18 + '99999', 413), ('-1', 400),
    ('x', 400), ('²', 400)])
def test_a_body_is_taken_or_not_by_the_length_it_declares(ann, length, status):
    refused = ann.ask('POST', '/v1/secrets', body=b'{', Content_Type='application/json',
                      Content_Length=length)
    assert refused.status_int == status
    assert refused.json['title']
