# SPDX-License-Identifier: Apache-2.0
"""User metadata, contract section 4."""
import pytest


@pytest.fixture
def path(ann):
    return f'{ann.secret()}/metadata'


def test_all_pairs_are_put_read_and_replaced(ann, path):
    assert ann.get(path).json == {'metadata': {}}
    made = ann.put(path, {'metadata': {'Colour': ' blue ', 'a_b-1': ''}})
    assert made.status_int == 201
    assert made.json == {'metadata_ref': f'http://km.test:9311{path}'}
    assert made.headers['Location'] == made.json['metadata_ref']
    assert ann.get(path).json == {'metadata': {'colour': 'blue', 'a_b-1': ''}}
    ann.put(path, {'metadata': {'only': 'one'}})
    assert ann.get(path).json == {'metadata': {'only': 'one'}}
    ann.put(path, {'metadata': {}})
    assert ann.get(path).json == {'metadata': {}}


def test_one_pair_is_added_once(ann, path):
    made = ann.post(path, {'key': 'Colour', 'value': 'blue'})
    assert (made.status_int, made.json) == (201, {'key': 'colour', 'value': 'blue'})
    assert made.headers['Location'] == f'http://km.test:9311{path}/colour'
    assert ann.post(path, {'key': 'COLOUR', 'value': 'red'}).status_int == 409
    assert ann.get(f'{path}/Colour').json == {'key': 'colour', 'value': 'blue'}


def test_one_pair_is_changed_if_it_is_there(ann, path):
    ann.post(path, {'key': 'colour', 'value': 'blue'})
    put = ann.put(f'{path}/colour', {'key': 'colour', 'value': 'red'})
    assert (put.status_int, put.json) == (200, {'key': 'colour', 'value': 'red'})
    missing = ann.put(f'{path}/shape', {'key': 'shape', 'value': 'round'})
    assert missing.status_int == 404
    assert missing.json['description'] == 'Not Found. Secret metadata not found.'
    assert ann.put(f'{path}/colour', {'key': 'shape', 'value': 'round'}).status_int == 409
    assert ann.get(path).json == {'metadata': {'colour': 'red'}}


def test_barbicanclients_way_to_add_creates_or_replaces(ann, path):
    for value in ('blue', 'red'):
        made = ann.post(f'{path}/colour', {'key': 'colour', 'value': value})
        assert (made.status_int, made.json) == (201, {'key': 'colour', 'value': value})
    assert ann.get(path).json == {'metadata': {'colour': 'red'}}


def test_one_pair_is_removed_as_often_as_one_likes(ann, path):
    ann.put(path, {'metadata': {'a': '1', 'b': '2'}})
    for _ in range(2):
        assert ann.delete(f'{path}/a').status_int == 204
    assert ann.get(path).json == {'metadata': {'b': '2'}}
    assert ann.get(f'{path}/a').status_int == 404


@pytest.mark.parametrize('body', [
    {}, {'metadata': None}, {'metadata': []}, {'metadata': {'a': 1}}, {'metadata': {'a': None}},
    {'metadata': {'a': {}}}, {'metadata': {'': 'x'}}, {'metadata': {'a b': 'x'}},
    {'metadata': {'ä': 'x'}}, {'metadata': {'a/b': 'x'}}, {'metadata': {'k' * 256: 'x'}},
    {'metadata': {'a': 'x' * 256}}, {'metadata': {'a': '1', 'A': '2'}},
    {'metadata': {}, 'more': 1}])
def test_metadata_that_cannot_be_is_refused_whole(ann, path, body):
    ann.put(path, {'metadata': {'old': 'one'}})
    refused = ann.put(path, body)
    assert refused.status_int == 400
    assert refused.json['description'].startswith('Secret metadata creation issue seen - ')
    assert ann.get(path).json == {'metadata': {'old': 'one'}}


@pytest.mark.parametrize('body', [
    {}, {'key': 'a'}, {'value': 'a'}, {'key': '', 'value': 'a'}, {'key': 'a', 'value': 1},
    {'key': 'a', 'value': None}, {'key': 'a', 'value': 'x' * 256}, {'key': 'k' * 256, 'value': ''},
    {'key': 'a', 'value': 'b', 'more': 'c'}, {'key': 'a b', 'value': 'c'}])
def test_a_pair_that_cannot_be_is_refused(ann, path, body):
    assert ann.post(path, body).status_int == 400
    assert ann.post(f'{path}/a', body).status_int in (400, 409)
    assert ann.get(path).json == {'metadata': {}}


def test_the_words_for_values_that_are_no_strings_are_those_clients_know(ann, path):
    refused = ann.put(path, {'metadata': {'a': 1}}).json['description']
    assert 'Invalid Metadata. Keys and Values must be Strings.' in refused
    refused = ann.put(path, {'metadata': {'a b': 'c'}}).json['description']
    assert 'Invalid Key. Key must be URL safe.' in refused


def test_a_change_shows_in_updated(ann, path, clock):
    secret = path.removesuffix('/metadata')
    clock.forward(seconds=1)
    ann.put(path, {'metadata': {'a': 'b'}})
    assert ann.get(secret).json['updated'] == '2030-01-01T12:00:01.123456'


def test_all_of_it_cannot_be_deleted_at_once(ann, path):
    refused = ann.delete(path)
    assert refused.status_int == 405
    assert refused.headers['Allow'] == 'GET, POST, PUT'


@pytest.mark.parametrize('key', ['a%20b', '%2e%2e', 'k' * 300])
def test_an_odd_key_in_the_path_is_only_a_key_that_is_not_there(ann, path, key):
    assert ann.get(f'{path}/{key}').status_int == 404
    assert ann.delete(f'{path}/{key}').status_int == 204


def test_a_key_in_the_path_that_is_no_printable_ascii_leads_nowhere(ann, path):
    for key in ('%FF', '%C3%A4', '%00', '%0A'):
        assert ann.get(f'{path}/{key}').status_int == 404
