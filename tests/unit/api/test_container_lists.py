# SPDX-License-Identifier: Apache-2.0
"""Lists of containers: filters, paging, and what is not in them; contract sections 1.8 and 7."""
import pytest


def names(client, query=''):
    return [container['name'] for container in client.get(f'/v1/containers?{query}').json['containers']]


def test_private_containers_of_colleagues_are_not_listed(ann, bob, admin, clock):
    for name, read in (('open', {'users': []}), ('private', {'project-access': False}),
                       ('shared', {'project-access': False, 'users': ['bob']})):
        clock.forward(seconds=1)
        ann.put(ann.container(name=name) + '/acl', {'read': read})
    assert names(ann) == names(admin) == ['open', 'private', 'shared']
    assert names(bob) == ['open', 'shared']
    assert bob.get('/v1/containers?limit=1').json['total'] == 2


@pytest.mark.parametrize(('query', 'found'), [
    ('', 'abcde'), ('name=b', 'b'), ('name=B', ''), ('name=%25', 'abcde'), ('type=rsa', 'b'),
    ('type=generic&name=a', 'a'), ('type=generic&name=b', ''), ('type=nonesuch', ''),
    ('colour=x', 'abcde'), ('limit=2', 'ab'), ('limit=2&offset=3', 'de'), ('offset=9', '')])
def test_filters_and_pages(ann, clock, query, found):
    keys = {'public_key': ann.secret(None), 'private_key': ann.secret(None)}
    for name in 'abcde':
        clock.forward(seconds=1)
        ann.container(keys, name=name, type='rsa' if name == 'b' else 'generic')
    assert names(ann, query) == list(found)


def test_links_lead_through_all_pages_with_the_filters(ann):
    secrets = {name: ann.secret(None) for name in 'abc'}
    for number in range(12):
        ann.container(secrets if number % 2 else {}, name='x & y')
    ann.container(name='other')
    seen, url = [], '/v1/containers?name=x+%26+y&limit=5'
    while url:
        page = ann.get(url).json
        seen.append([container['container_ref'] for container in page['containers']])
        url = page.get('next')
        assert page['total'] == 12
    assert [len(refs) for refs in seen] == [5, 5, 2]
    assert len({ref for refs in seen for ref in refs}) == 12
    assert page['previous'].startswith('http://km.test:9311/v1/containers?name=x+%26+y&')


def test_a_container_in_a_list_is_as_it_is_alone(ann, clock):
    for number in range(3):
        clock.forward(seconds=1)
        path = ann.container({name: ann.secret(None) for name in 'cab'[:number]}, name=str(number))
        for consumer in range(number):
            ann.post(path + '/consumers', {'name': f'{consumer}', 'URL': f'http://{number}'})
    listed = ann.get('/v1/containers').json['containers']
    assert listed == [ann.get(container['container_ref']).json for container in listed]
    assert [len(container['secret_refs']) for container in listed] == [0, 1, 2]
    assert [len(container['consumers']) for container in listed] == [0, 1, 2]
