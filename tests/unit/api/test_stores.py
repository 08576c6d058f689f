# SPDX-License-Identifier: Apache-2.0
"""``/v1/secret-stores`` as the contract has it, section 12, with two stores enabled."""
import pytest
import sqlalchemy as sa

from km.testing.application import Client, a_deployment

UNKNOWN = '/v1/secret-stores/5a8b8f0d-7e6a-4c9d-9e57-3f1f2b1c0d11'
NONE_PREFERRED = 'Not Found. No preferred secret store defined for this project.'


def two_stores(folder):
    return {'secret_store': {'enabled': 'soft, hard'}, 'secret_store:hard': {
        'plugin': 'simple_crypto', 'kek_file': folder / 'kek',
        'connection': f'sqlite:///{folder}/hard.sqlite'}}


@pytest.fixture
def house(folder, clock):
    """A km with two stores, of which 'soft' is the default."""
    house = a_deployment(folder, two_stores(folder), clock=clock)
    yield house
    house.close()


@pytest.fixture
def paths(ann):
    """The path of each store by its name."""
    listed = ann.get('/v1/secret-stores').json['secret_stores']
    return {told['name']: told['secret_store_ref'].removeprefix('http://km.test:9311')
            for told in listed}


@pytest.fixture
def store_of(house):
    """The store that has the payload of a secret."""
    def find(path):
        with house.database.statement() as connection:
            return connection.scalar(sa.text('SELECT store FROM secrets WHERE id = :id'),
                                     {'id': path.rpartition('/')[2]})
    return find


def test_a_store_is_described_with_every_field_of_the_contract(ann, paths):
    told = ann.get(paths['hard']).json
    assert told == {
        'created': '2030-01-01T12:00:00.123456', 'updated': '2030-01-01T12:00:00.123456',
        'status': 'ACTIVE', 'name': 'hard', 'global_default': False,
        'secret_store_plugin': 'simple_crypto', 'crypto_plugin': None,
        'secret_store_ref': 'http://km.test:9311' + paths['hard']}
    assert told in ann.get('/v1/secret-stores').json['secret_stores']


def test_the_list_is_one_page_without_a_total(ann):
    told = ann.get('/v1/secret-stores?limit=1').json
    assert list(told) == ['secret_stores']
    assert len(told['secret_stores']) == 2


@pytest.mark.parametrize(('query', 'names'), [
    ('name=soft', ['soft']), ('name=none', []), ('status=ACTIVE', ['hard', 'soft']),
    ('status=ERROR', []), ('global_default=true', ['soft']), ('global_default=False', ['hard']),
    ('secret_store_plugin=simple_crypto', ['hard', 'soft']), ('secret_store_plugin=kmip', []),
    ('crypto_plugin=x', []), ('name=hard&global_default=true', []), ('other=1', ['hard', 'soft'])])
def test_the_list_honours_its_filters(ann, query, names):
    listed = ann.get(f'/v1/secret-stores?{query}').json['secret_stores']
    assert [told['name'] for told in listed] == names


def test_a_filter_that_is_no_boolean_is_refused(ann):
    assert ann.get('/v1/secret-stores?global_default=maybe').status_int == 400


def test_the_default_is_told(ann):
    told = ann.get('/v1/secret-stores/global-default').json
    assert (told['name'], told['global_default']) == ('soft', True)


def test_what_is_no_store_is_not_found(ann, admin):
    for answer in (ann.get(UNKNOWN), admin.post(f'{UNKNOWN}/preferred'),
                   admin.delete(f'{UNKNOWN}/preferred')):
        assert answer.status_int == 404
        assert answer.json['description'] == 'Not Found. Secret store not found.'


def test_the_preferred_store_gets_new_payloads_and_those_there_are_stay(admin, ann, paths, store_of):
    before, empty = ann.secret(), ann.secret(None)
    assert ann.get('/v1/secret-stores/preferred').json['description'] == NONE_PREFERRED
    assert admin.post(f'{paths["hard"]}/preferred').status_int == 204
    assert ann.get('/v1/secret-stores/preferred').json['name'] == 'hard'
    after = ann.secret()
    assert ann.put(empty, body=b'later', Content_Type='text/plain').status_int == 204
    assert [store_of(path) for path in (before, after, empty)] == ['soft', 'hard', 'hard']
    assert admin.delete(f'{paths["hard"]}/preferred').status_int == 204
    assert store_of(ann.secret()) == 'soft'
    for path, payload in ((before, b'a payload'), (after, b'a payload'), (empty, b'later')):
        assert ann.get(path + '/payload').body == payload


def test_the_preference_is_of_one_project(admin, eve, paths, store_of):
    admin.post(f'{paths["hard"]}/preferred')
    assert eve.get('/v1/secret-stores/preferred').status_int == 404
    assert store_of(eve.secret()) == 'soft'


def test_another_preference_takes_the_place_of_the_first(admin, paths):
    admin.post(f'{paths["hard"]}/preferred')
    admin.post(f'{paths["soft"]}/preferred')
    assert admin.get('/v1/secret-stores/preferred').json['name'] == 'soft'


def test_a_preference_is_removed_by_the_store_it_is_for_and_by_no_other(admin, paths):
    """(Contract 19, row 24.)"""
    assert admin.delete(f'{paths["hard"]}/preferred').status_int == 404
    admin.post(f'{paths["hard"]}/preferred')
    assert admin.delete(f'{paths["soft"]}/preferred').status_int == 404
    assert admin.get('/v1/secret-stores/preferred').json['name'] == 'hard'
    assert admin.delete(f'{paths["hard"]}/preferred').status_int == 204
    assert admin.get('/v1/secret-stores/preferred').status_int == 404


def test_an_admin_chooses_for_another_project_by_its_id_in_the_path(admin, eve, paths, store_of):
    assert admin.post(f'{paths["hard"]}/preferred/beta').status_int == 204
    assert store_of(eve.secret()) == 'hard'
    assert admin.get('/v1/secret-stores/preferred/beta').json['name'] == 'hard'
    assert admin.get('/v1/secret-stores/preferred').status_int == 404
    assert admin.delete(f'{paths["soft"]}/preferred/beta').status_int == 404
    assert admin.delete(f'{paths["hard"]}/preferred/beta').status_int == 204
    assert store_of(eve.secret()) == 'soft'


def test_a_project_id_that_no_row_could_hold_is_not_found(admin, paths):
    assert admin.post(f'{paths["hard"]}/preferred/{"x" * 256}').status_int == 404


@pytest.mark.parametrize('rest', ['preferred', 'preferred/alpha', 'preferred/beta'])
def test_only_an_admin_chooses(ann, paths, rest):
    for method in ('POST', 'DELETE'):
        assert ann.ask(method, f'{paths["hard"]}/{rest}').status_int == 403
    assert ann.get('/v1/secret-stores/preferred/beta').status_int == 403


def test_whoever_reads_may_look(house):
    reader = Client(house.application, roles='reader')
    stranger = Client(house.application, roles='other')
    for path in ('/v1/secret-stores', '/v1/secret-stores/global-default'):
        assert (reader.get(path).status_int, stranger.get(path).status_int) == (200, 403)


@pytest.fixture
def hard_is_gone(house, folder, clock, admin, ann, paths):
    """The same km after its operator has taken the store out that alpha prefers."""
    admin.post(f'{paths["hard"]}/preferred')
    kept = ann.secret()
    house.close()
    clock.forward(days=1)
    left = a_deployment(folder, clock=clock)
    yield Client(left.application), kept
    left.close()


def test_a_preferred_store_that_is_gone_is_never_silently_another(hard_is_gone):
    ann, _ = hard_is_gone
    refused = ann.post('/v1/secrets', {'payload': 'x', 'payload_content_type': 'text/plain'})
    assert refused.status_int == 503
    assert ann.get('/v1/secrets').json['total'] == 1


def test_a_store_that_is_gone_is_shown_as_disabled_and_cannot_be_chosen(hard_is_gone, paths):
    ann, _ = hard_is_gone
    told = ann.get(paths['hard']).json
    assert (told['status'], told['updated']) == ('DISABLED', '2030-01-02T12:00:00.123456')
    admin = Client(ann.application, roles='admin')
    assert admin.post(f'{paths["hard"]}/preferred').status_int == 400
    assert admin.delete(f'{paths["hard"]}/preferred').status_int == 204
    assert ann.secret()


V1_3 = {'OpenStack_API_Version': 'key-manager 1.3'}


def store_id(paths, name):
    return paths[name].rpartition('/')[2]


def test_newer_clients_are_told_where_a_secret_is(ann, paths):
    full, empty = ann.secret(), ann.secret(None)
    told = ann.get(full, **V1_3).json
    assert (told['secret_store_id'], told['secret_store_ref']) == (
        store_id(paths, 'soft'), 'http://km.test:9311' + paths['soft'])
    told = ann.get(empty, **V1_3).json
    assert (told['secret_store_id'], told['secret_store_ref']) == (None, None)
    listed = ann.get('/v1/secrets', **V1_3).json['secrets']
    assert {secret['secret_store_id'] for secret in listed} == {store_id(paths, 'soft'), None}
    assert ann.get(paths['soft'], **V1_3).json['secret_store_id'] == store_id(paths, 'soft')
    assert 'secret_store_id' not in ann.get(full, OpenStack_API_Version='key-manager 1.2').json


def test_an_admin_moves_a_secret_and_it_reads_the_same(ann, admin, paths, store_of):
    path = ann.secret('on the move')
    for name in ('hard', 'hard', 'soft'):
        moved = admin.put(f'{path}/secret-store/{store_id(paths, name)}', **V1_3)
        assert (moved.status_int, moved.body) == (204, b'')
        assert store_of(path) == name
        assert ann.get(path + '/payload').text == 'on the move'
    assert ann.get(path).json['updated'] == ann.get(path).json['created']


def test_what_cannot_be_moved_says_why(ann, admin, eve, paths):
    path, hard = ann.secret(), store_id(paths, 'hard')
    assert ann.put(f'{path}/secret-store/{hard}', **V1_3).status_int == 403
    assert eve.put(f'{path}/secret-store/{hard}', **V1_3).status_int == 403
    assert admin.put(f'{path}/secret-store/{hard}').status_int == 404
    unknown = admin.put(f'{path}/secret-store/{UNKNOWN[-36:]}', **V1_3)
    assert (unknown.status_int, unknown.json['description']) == (
        404, 'Not Found. Secret store not found.')
    empty = admin.put(f'{ann.secret(None)}/secret-store/{hard}', **V1_3)
    assert (empty.status_int, empty.json['description']) == (
        400, 'Secret move issue seen - The secret has no payload to move.')
