# SPDX-License-Identifier: Apache-2.0
"""What a request costs: SQL statements, and how far a reader has to walk through our files."""
import sys
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import event

import km
from km.hosting.deadlines import Deadlines

HOUSE = Path(km.__file__).parent
#: 3 of the files, and 9 of the changes, see to it that a plugin of any kind that hangs holds up nobody;
#: 2 of each, that keys are replaced in use and a database that hangs is given up.
MOST_FILES, MOST_CHANGES = 23, 33
V1_1, V1_3 = ({'OpenStack_API_Version': f'key-manager {version}'} for version in ('1.1', '1.3'))


@pytest.fixture
def statements(house):
    """Counts what a block of code asks of the metadata, and of the store."""
    engines = (house.database.engine, house.registry.secret_stores['soft'].guest._database.engine)

    @contextmanager
    def counted():
        said = [], []
        ears = [lambda _c, _k, statement, *_, told=told: told.append(statement) for told in said]
        for engine, ear in zip(engines, ears, strict=True):
            event.listen(engine, 'before_cursor_execute', ear)
        try:
            yield said
        finally:
            for engine, ear in zip(engines, ears, strict=True):
                event.remove(engine, 'before_cursor_execute', ear)

    return counted


@pytest.fixture
def asked(ann, statements):
    """How many statements a request made, on the metadata and on the store."""
    ann.secret()  # the project has its key, and the process keeps it

    def ask(*request, status=200, **more):
        with statements() as said:
            assert ann.ask(*request, **more).status_int == status
        return tuple(map(len, said))

    return ask


def test_a_secret_is_created_with_two_statements_on_the_metadata_and_one_on_the_store(asked):
    body = {'payload': 'x', 'payload_content_type': 'text/plain'}
    assert asked('POST', '/v1/secrets', json=body, status=201) == (2, 1)


def test_the_first_secret_of_a_project_costs_the_store_three_more(ann, statements):
    with statements() as (metadata, store):
        ann.secret()
    assert (len(metadata), len(store)) == (2, 4)


def test_a_secret_without_payload_is_created_with_one(asked):
    assert asked('POST', '/v1/secrets', json={}, status=201) == (1, 0)


def test_metadata_are_read_with_one(ann, asked):
    assert asked('GET', ann.secret()) == (1, 0)


def test_a_payload_is_read_with_one_on_the_metadata_and_one_on_the_store(ann, asked):
    assert asked('GET', ann.secret() + '/payload') == (1, 1)
    assert asked('GET', ann.secret(), Accept='text/plain') == (1, 1)


def test_a_forbidden_request_asks_the_metadata_once_and_the_store_never(eve, ann, statements):
    path = ann.secret()
    with statements() as (metadata, store):
        assert eve.get(path + '/payload').status_int == 403
    assert (len(metadata), len(store)) == (1, 0)


@pytest.mark.parametrize('query', ['', '&name=disk&sort=name:desc'])
def test_a_list_of_any_length_is_read_with_two(ann, asked, query):
    for _ in range(30):
        ann.put(ann.secret(None, name='disk') + '/acl', {'read': {'users': ['ann', 'bob']}})
    assert asked('GET', f'/v1/secrets?limit=3{query}') == (2, 0)
    assert asked('GET', f'/v1/secrets?limit=30{query}') == (2, 0)


@pytest.fixture
def consumed(ann):
    """What adds consumers to a secret or a container at a path."""
    said = {'secrets': {'service': 's', 'resource_type': 't'}, 'containers': {'name': 's'}}

    def consume(path, times):
        for number in range(times):
            kind = path.split('/')[2]
            answer = ann.post(path + '/consumers', {
                **said[kind], 'resource_id' if kind == 'secrets' else 'URL': str(number)})
            assert answer.status_int == 200
        return path

    return consume


def test_a_list_of_secrets_with_their_consumers_is_read_with_two(ann, asked, consumed):
    for number in range(12):
        consumed(ann.secret(None), number % 4)
    for limit in (3, 12):
        assert asked('GET', f'/v1/secrets?limit={limit}', **V1_1) == (2, 0)
    assert asked('GET', '/v1/secrets?limit=100', **V1_1) == (1, 0)


def test_a_secret_with_its_consumers_is_read_with_two(ann, asked, consumed):
    assert asked('GET', consumed(ann.secret(), 12), **V1_1) == (2, 0)


def test_where_secrets_are_costs_one_more(ann, asked):
    assert asked('GET', ann.secret(), **V1_3) == (3, 0)
    assert asked('GET', '/v1/secrets?limit=1', **V1_3) == (3, 0)


def test_a_list_of_containers_is_read_with_two_whatever_is_in_them(ann, asked, consumed):
    secrets = {str(number): ann.secret(None) for number in range(12)}
    for number in range(12):
        consumed(ann.container(dict(list(secrets.items())[:number])), number % 4)
    for limit in (3, 12):
        assert asked('GET', f'/v1/containers?limit={limit}') == (2, 0)
    assert asked('GET', '/v1/containers?limit=100') == (1, 0)


def test_a_container_is_read_with_two_whatever_is_in_it(ann, asked, consumed):
    path = consumed(ann.container({str(number): ann.secret(None) for number in range(12)}), 12)
    assert asked('GET', path) == (2, 0)


def test_a_container_is_created_with_four_and_deleted_with_four(ann, asked):
    refs = [{'name': str(number), 'secret_ref': f'http://km.test:9311{ann.secret(None)}'}
            for number in range(12)]
    body = {'type': 'generic', 'secret_refs': refs}
    assert asked('POST', '/v1/containers', json=body, status=201) == (4, 0)
    assert asked('DELETE', ann.container(), status=204) == (4, 0)


def test_a_list_of_consumers_is_read_with_three_one_of_them_for_the_acl(ann, asked, consumed):
    for path in (consumed(ann.secret(), 12), consumed(ann.container(), 12)):
        assert asked('GET', f'{path}/consumers?limit=3') == (3, 0)
        assert asked('GET', f'{path}/consumers?limit=100') == (2, 0)


def test_a_consumer_is_registered_with_four_beside_what_is_answered(ann, asked, consumed):
    for path, body, answer in (
            (consumed(ann.secret(), 12), {'service': 's', 'resource_type': 't', 'resource_id': 'x'}, 2),
            (consumed(ann.container(), 12), {'name': 's', 'URL': 'x'}, 1)):
        # ACL, row, is it there, is there room, insert; then what is answered.
        assert asked('POST', path + '/consumers', json=body) == (1 + 4 + answer, 0)
        assert asked('POST', path + '/consumers', json=body) == (1 + 2 + answer, 0)
        assert asked('DELETE', path + '/consumers', json=body) == (1 + 3 + answer, 0)


@pytest.mark.parametrize('query', ['', '&acl_only=true', '&name=nothing'])
def test_a_page_that_is_not_full_tells_the_total_by_itself(ann, asked, query):
    ann.secret(None, name='disk')
    assert asked('GET', f'/v1/secrets?limit=100{query}') == (1, 0)


@contextmanager
def watched():
    """Collects the files of ours whose functions are called in this thread, call by call."""
    calls = []

    def profile(frame, happened, _argument):
        if happened == 'call':
            file = Path(frame.f_code.co_filename)
            if file.is_relative_to(HOUSE) and not file.is_relative_to(HOUSE / 'testing'):
                calls.append(f'{file.relative_to(HOUSE)}: {frame.f_code.co_qualname}')

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def journey(client, *request, **more):
    """The calls that the whole pipeline makes for a request, the second time it is asked."""
    def application(environ, start_response):
        with watched() as calls:
            answer = [b''.join(client.application(environ, start_response))]
        taken.append(calls)
        return answer

    taken = []
    for _ in range(2):
        assert replace(client, application=application).ask(*request, **more).status_int < 300
    return taken[-1]


def files_of(calls):
    return [call.partition(':')[0] for call in calls]


def changes_of(calls):
    """How often the file is another one than that of the call before."""
    return sum(before != after for before, after in pairwise(files_of(calls)))


@pytest.fixture
def creation(ann, monkeypatch):
    """The calls that POST of a secret makes, those of the store in this thread too."""
    monkeypatch.setattr(Deadlines, '_in_a_thread', lambda _self, function, _late: function())
    return journey(ann, 'POST', '/v1/secrets', json={
        'name': 'disk', 'payload': 'x', 'payload_content_type': 'text/plain'})


def test_creating_a_secret_leads_through_few_files(creation):
    files = list(dict.fromkeys(files_of(creation)))
    assert len(files) <= MOST_FILES, f'{len(files)} files: {", ".join(files)}'


def test_creating_a_secret_seldom_leads_from_one_file_to_another(creation):
    way = '\n'.join(creation)
    assert changes_of(creation) <= MOST_CHANGES, f'{changes_of(creation)} changes:\n{way}'


def test_a_key_is_ordered_with_few_statements_from_post_to_active(ann, asked):
    order = {'type': 'key', 'meta': {'algorithm': 'aes', 'bit_length': 256}}
    assert asked('POST', '/v1/orders', json=order, status=202) == (5, 1)
    path = '/v1' + ann.get('/v1/orders').json['orders'][0]['order_ref'].partition('/v1')[2]
    assert asked('GET', path) == (1, 0)


def test_a_secret_of_a_project_with_a_quota_costs_more(admin, asked):
    admin.put('/v1/project-quotas/alpha', {'project_quotas': {'secrets': 5}})
    assert asked('POST', '/v1/secrets', json={}, status=201) == (6, 0)


def test_a_list_of_orders_is_read_with_two(ann, asked):
    for _ in range(4):
        ann.post('/v1/orders', {'type': 'key', 'meta': {'algorithm': 'aes', 'bit_length': 256}})
    assert asked('GET', '/v1/orders?limit=3') == (2, 0)
