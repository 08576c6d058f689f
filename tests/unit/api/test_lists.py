# SPDX-License-Identifier: Apache-2.0
"""Lists of secrets: filters, sorting and paging, contract sections 1.8 and 3.8."""
from urllib.parse import urlsplit

import pytest


@pytest.fixture
def five(ann, clock):
    """Five secrets, a minute apart, named a to e."""
    for number, name in enumerate('abcde'):
        clock.forward(minutes=1)
        ann.secret(name=name, algorithm='aes' if number % 2 else 'AES', mode='cbc',
                   bit_length=128 * (number + 1),
                   secret_type='symmetric' if number < 3 else 'opaque',
                   expiration=f'2031-01-0{number + 1}')
    clock.forward(minutes=1)
    ann.secret(name='100%_sure')
    return ann


def names(client, query):
    return [secret['name'] for secret in client.get(f'/v1/secrets?{query}').json['secrets']]


@pytest.mark.parametrize(('query', 'found'), [
    ('name=a', 'a'), ('name=A', ''), ('name=', ''), ('alg=aes', 'bd'), ('mode=cbc', 'abcde'),
    ('bits=256', 'b'), ('bits=1', ''), ('bits=x', 'all'), ('bits=', 'all'),
    ('secret_type=symmetric', 'abc'), ('secret_type=nonesuch', ''), ('inst=', 'all'),
    ('colour=blue', 'all'), ('created=2030-01-01T12:01:00.123456', 'a'),
    ('created=gt:2030-01-01T12:02:00.123456', 'cde%'),
    ('created=gte:2030-01-01T12:02:00.123456,lt:2030-01-01T12:04:00Z', 'bc'),
    ('created=gte:2030-01-01T14:02:00.123456%2B02:00,lt:2030-01-01T12:04:00Z', 'bc'),
    ('updated=lte:2030-01-01T12:01:00.123456', 'a'), ('expiration=lt:2031-01-03', 'ab'),
    ('expiration=2031-01-03', 'c'), ('name=a&alg=aes', ''), ('target.secret.read=read', 'all')])
def test_filters(five, query, found):
    expected = [*'abcde', '100%_sure'] if found == 'all' else [
        '100%_sure' if name == '%' else name for name in found]
    assert names(five, query) == expected


@pytest.mark.parametrize(('query', 'found'), [
    ('name=1%25', ['100%_sure']), ('name=%25sure', ['100%_sure']), ('name=%25', None),
    ('name=100%25_sure', ['100%_sure']), ('name=_', []), ('name=100_sure', []),
    ('name=%5C%25', []), ('name=A%25', [])])
def test_a_percent_sign_stands_for_any_text_and_an_underscore_for_itself(five, query, found):
    assert names(five, query) == ([*'abcde', '100%_sure'] if found is None else found)


@pytest.mark.parametrize(('query', 'found'), [
    ('sort=name', ['100%_sure', *'abcde']), ('sort=name:desc&limit=2', ['e', 'd']),
    ('sort=created:desc&limit=2', ['100%_sure', 'e']),
    ('sort=secret_type,name:desc&limit=3', ['e', 'd', '100%_sure'])])
def test_sorting(five, query, found):
    assert names(five, query) == found


@pytest.mark.parametrize('query', [
    'name=a&name=b', 'limit=1&limit=1', 'limit=-1', 'limit=-' + '9' * 30,
    'bits=' + '9' * 30, 'bits=0', 'bits=40000',
    'created=yesterday', 'created=', 'created=gt:', 'created=gt:2030-01-01,gt:2030-01-02',
    'created=gt:2030-01-01,gte:2030-01-02', 'created=2030-01-01,lt:2031-01-01',
    'created=around:2030-01-01', 'expiration=9999-12-31T23:59:59-23:59', 'expiration=gt:0000-01-01',
    'sort=colour', 'sort=name,name', 'sort=name:up', 'sort=,', 'sort=name;DROP', 'name=%00',
    'name=%FF', '%FF=x', '&'.join(f'x{number}=' for number in range(200))])
def test_a_query_that_cannot_be_is_400(five, query):
    refused = five.get(f'/v1/secrets?{query}')
    assert refused.status_int == 400
    assert refused.json['description'] == 'URI provided invalid query string parameters.'


@pytest.mark.parametrize(('query', 'found', 'limit'), [
    ('limit=2', 'ab', 2), ('limit=2&offset=1', 'bc', 2), ('limit=0', 'a', 1),
    ('limit=0&offset=0', 'a', 1), ('limit=x&offset=4', 'e%', 10), ('limit=99999999999', 'all', 100),
    ('limit=' + '9' * 30, 'all', 100),
    ('offset=-5', 'all', 10), ('offset=x', 'all', 10), ('offset=99', '', 10),
    ('offset=' + '9' * 15, 'all', 10), ('offset=' + '9' * 40, 'all', 10)])
def test_pages(five, query, found, limit):
    expected = [*'abcde', '100%_sure'] if found == 'all' else [
        '100%_sure' if name == '%' else name for name in found]
    listed = five.get(f'/v1/secrets?{query}').json
    assert [secret['name'] for secret in listed['secrets']] == expected
    assert listed['total'] == 6


def test_a_page_is_ten_unless_asked_and_links_lead_through_all_with_the_filters(ann):
    for number in range(25):
        ann.secret(None, name=f'{number:02}', algorithm='aes & co')
    ann.secret(None, name='other')
    seen, url = [], '/v1/secrets?alg=aes+%26+co&sort=name:desc'
    while url:
        page = ann.get(url).json
        seen.append([secret['name'] for secret in page['secrets']])
        url = page.get('next')
        assert url is None or url.startswith('http://km.test:9311/v1/secrets?')
    assert list(map(len, seen)) == [10, 10, 5]
    assert [name for names in seen for name in names] == [f'{24 - n:02}' for n in range(25)]
    assert page['total'] == 25
    assert ann.get(page['previous']).json['secrets'][0]['name'] == '14'
    assert 'alg=aes+%26+co' in urlsplit(page['previous']).query


def test_the_first_page_has_no_previous_and_the_last_no_next(ann):
    ann.secret()
    assert set(ann.get('/v1/secrets').json) == {'secrets', 'total'}
    beyond = ann.get('/v1/secrets?offset=50').json
    assert beyond['secrets'] == []
    assert 'next' not in beyond
    assert 'offset=40' in beyond['previous']


def test_secrets_of_one_moment_keep_their_order_across_pages(ann):
    for _ in range(30):
        ann.secret(None)
    seen = [ann.get(f'/v1/secrets?limit=7&offset={offset}').json['secrets']
            for offset in range(0, 30, 7)]
    refs = [secret['secret_ref'] for page in seen for secret in page]
    assert len(refs) == len(set(refs)) == 30


def test_a_secret_in_a_list_is_as_it_is_alone(ann):
    path = ann.secret(name='x')
    assert ann.get('/v1/secrets').json['secrets'] == [ann.get(path).json]


def test_secrets_of_another_project_are_not_listed(ann, eve):
    ann.secret()
    assert eve.get('/v1/secrets').json == {'secrets': [], 'total': 0}
