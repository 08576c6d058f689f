# SPDX-License-Identifier: Apache-2.0
"""The list of secrets: its pages, filters and orders, the same in every deployment."""
import secrets
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.functional.assertions import assert_refused


@pytest.fixture(scope='module')
def mode(km):
    """A word that tells the seven secrets this fixture makes from all others."""
    word = secrets.token_hex(6)
    for number in range(7):
        fields = {'name': f'{word} {number}', 'mode': word, 'bit_length': 128 * (number % 2 + 1),
                  'algorithm': 'aes' if number % 2 else 'AES', 'expiration': f'209{number}-01-01'}
        km.secret(None, secret_type='opaque' if number else 'private', **fields)
    return word


def listed(km, **query):
    """The numbers in the names on one page, and the whole answer."""
    answer = km.get('/v1/secrets', params=query).json()
    return [int(secret['name'].split()[1]) for secret in answer['secrets']], answer


def test_a_list_is_walked_page_by_page_without_gaps_or_repeats(km, mode):
    found, answer = listed(km, mode=mode, limit=3)
    assert (answer['total'], 'previous' in answer) == (7, False)
    while 'next' in answer:
        assert answer['next'].startswith(km.url + '/v1/secrets?')
        assert parse_qs(urlsplit(answer['next']).query)['mode'] == [mode]
        answer = km.get(answer['next']).json()
        found += [int(secret['name'].split()[1]) for secret in answer['secrets']]
    assert found == [0, 1, 2, 3, 4, 5, 6]
    back = km.get(answer['previous']).json()
    assert [int(secret['name'].split()[1]) for secret in back['secrets']] == [3, 4, 5]


def test_a_total_is_learnt_with_limit_0(km, mode):
    found, answer = listed(km, mode=mode, limit=0, offset=0)
    assert answer['total'] == 7
    assert len(found) <= 1


def test_a_page_beyond_the_end_is_empty(km, mode):
    assert listed(km, mode=mode, offset=50)[0] == []


@pytest.mark.parametrize(('query', 'expected'), [
    ({'name': '{} 3'}, [3]), ({'name': '{} %'}, [0, 1, 2, 3, 4, 5, 6]), ({'name': '{} _'}, []),
    ({'alg': 'aes'}, [1, 3, 5]), ({'alg': 'AES'}, [0, 2, 4, 6]), ({'bits': '256'}, [1, 3, 5]),
    ({'bits': ''}, [0, 1, 2, 3, 4, 5, 6]), ({'secret_type': 'private'}, [0]),
    ({'expiration': 'gt:2093-01-01'}, [4, 5, 6]), ({'expiration': '2093-01-01'}, [3]),
    ({'expiration': 'gte:2093-01-01,lt:2095-01-01T00:00:00Z'}, [3, 4]),
    ({'created': 'lt:2001-01-01'}, []), ({'no_such_filter': 'x'}, [0, 1, 2, 3, 4, 5, 6])])
def test_filters_choose(km, mode, query, expected):
    asked = {name: value.format(mode) for name, value in query.items()}
    assert sorted(listed(km, mode=mode, **asked)[0]) == expected


@pytest.mark.parametrize(('order', 'expected'), [
    ('created:desc', [6, 5, 4, 3, 2, 1, 0]), ('bit_length', [0, 2, 4, 6, 1, 3, 5]),
    ('bit_length:desc,name:desc', [5, 3, 1, 6, 4, 2, 0]), ('secret_type:desc,name', [
        0, 1, 2, 3, 4, 5, 6])])
def test_a_list_is_sorted_as_asked(km, mode, order, expected):
    assert listed(km, mode=mode, sort=order)[0] == expected


@pytest.mark.parametrize('query', [
    'sort=colour', 'sort=name,name', 'sort=name:up', 'created=soon', 'updated=gt:2020-13-01',
    'expiration=gt:2020-01-01,gte:2020-01-01', 'name=a&name=b', 'limit=-1', 'name=%00', 'name=%ff',
    'expiration=9999-12-31T23:59:59-23:59', 'sort=created%3Bdrop',
    'bits=999999999999999999999999999999', 'target=%ed%a0%80'])
def test_a_query_that_makes_no_sense_is_refused(km, query):
    assert_refused(km.get('/v1/secrets?' + query), 400)


def test_a_limit_is_cut_and_what_is_no_number_counts_as_not_given(km, mode):
    for query in ({'limit': 10 ** 9}, {'limit': 'many'}, {'offset': '-1'}, {'offset': 'x'},
                  {'offset': 10 ** 30}):
        assert len(listed(km, mode=mode, **query)[0]) == 7
