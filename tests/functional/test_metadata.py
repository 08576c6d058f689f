# SPDX-License-Identifier: Apache-2.0
"""What users tie to their secrets, the same in every deployment."""
import pytest

from tests.functional.assertions import assert_refused, with_keystone


@pytest.fixture
def path(km):
    """A new secret's user metadata."""
    return km.secret() + '/metadata'


def test_a_secret_has_none_at_first(km, path):
    assert km.get(path).json() == {'metadata': {}}


def test_all_pairs_are_put_at_once_in_the_place_of_what_was_there(km, path):
    for pairs in ({'Colour': 'blue', 'size': ' 3 '}, {'only': ''}):
        put = km.put(path, {'metadata': pairs})
        assert put.status_code == 201
        assert put.json() == {'metadata_ref': km.url + path}
        assert put.headers['Location'] == km.url + path
    assert km.get(path).json() == {'metadata': {'only': ''}}
    assert km.put(path, {'metadata': {}}).status_code == 201
    assert km.get(path).json() == {'metadata': {}}


def test_a_pair_is_added_read_changed_and_removed(km, path):
    pair = {'key': 'colour', 'value': 'blue'}
    made = km.post(path, {'key': 'Colour', 'value': 'blue'})
    assert (made.status_code, made.json()) == (201, pair)
    assert made.headers['Location'] == f'{km.url}{path}/colour'
    assert_refused(km.post(path, pair), 409)
    assert km.get(path + '/colour').json() == pair
    changed = km.put(path + '/colour', {'key': 'colour', 'value': 'red'})
    assert (changed.status_code, changed.json()['value']) == (200, 'red')
    for _ in range(2):
        assert km.delete(path + '/colour').status_code == 204
    assert_refused(km.get(path + '/colour'), 404)


def test_what_python_barbicanclient_sends_adds_a_pair_or_changes_it(km, path):
    for value in ('blue', 'red'):
        posted = km.post(path + '/colour', {'key': 'colour', 'value': value})
        assert posted.status_code == 201
        assert km.get(path).json() == {'metadata': {'colour': value}}


def test_a_missing_key_is_not_found_and_another_is_a_conflict(km, path):
    assert_refused(km.put(path + '/k', {'key': 'k', 'value': 'v'}), 404)
    assert_refused(km.put(path + '/k', {'key': 'other', 'value': 'v'}), 409)


@pytest.mark.parametrize('body', [
    {}, {'metadata': None}, {'metadata': []}, {'metadata': {'k': 1}}, {'metadata': {'k': None}},
    {'metadata': {'k': {}}}, {'metadata': {'': 'v'}}, {'metadata': {'a b': 'v'}},
    {'metadata': {'a/b': 'v'}}, {'metadata': {'k' * 256: 'v'}}, {'metadata': {'k': 'v' * 256}},
    {'metadata': {'k': 'a', 'K': 'b'}}, {'metadata': {'k\n': 'v'}}, {'metadata': {}, 'more': 1},
    {'metadata': {'k\x00': 'v'}}, {'metadata': {'k': 'v\x00'}}])
def test_all_pairs_that_cannot_be_are_refused(km, path, body):
    assert_refused(km.put(path, body), 400)
    assert km.get(path).json() == {'metadata': {}}


@pytest.mark.parametrize('body', [
    {}, {'key': 'k'}, {'value': 'v'}, {'key': '', 'value': 'v'}, {'key': 'k', 'value': 1},
    {'key': 'k', 'value': 'v' * 256}, {'key': 'ä', 'value': 'v'},
    {'key': 'k', 'value': 'v', 'more': 1}])
def test_a_pair_that_cannot_be_is_refused(km, path, body):
    assert_refused(km.post(path, body), 400)


@pytest.mark.parametrize(('method', 'rest'), [
    ('DELETE', ''), ('PATCH', ''), ('PATCH', '/k'), ('HEAD', '/k'), ('HEAD', '')])
def test_other_methods_are_not_allowed(km, path, method, rest):
    answer = km.ask(method, path + rest)
    assert answer.status_code == 405
    assert answer.headers['Allow']


@with_keystone
def test_nobody_of_another_project_may_see_or_change_them(km, path):
    km.put(path, {'metadata': {'k': 'v'}})
    pair = {'key': 'k', 'value': 'stolen'}
    for who in ('beta-member', 'beta-admin', 'alpha-reader'):
        assert_refused(km.get(path, who=who), 403)
        assert_refused(km.get(path + '/k', who=who), 403)
        assert_refused(km.put(path, {'metadata': {}}, who=who), 403)
        assert_refused(km.post(path, pair, who=who), 403)
        assert_refused(km.put(path + '/k', pair, who=who), 403)
        assert_refused(km.post(path + '/k', pair, who=who), 403)
        assert_refused(km.delete(path + '/k', who=who), 403)
    assert km.get(path).json() == {'metadata': {'k': 'v'}}
