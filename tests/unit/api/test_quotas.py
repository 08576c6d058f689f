# SPDX-License-Identifier: Apache-2.0
"""Quotas: what holds, who may change it, and what is refused when there is no room."""
import pytest

from km.testing.application import Client, a_deployment

ALL = ('secrets', 'orders', 'containers', 'consumers', 'cas')
UNLIMITED = dict.fromkeys(ALL, -1)
UNSET = dict.fromkeys(ALL)
TEXT = {'payload': 'x', 'payload_content_type': 'text/plain'}
KEY = {'type': 'key', 'meta': {'algorithm': 'aes', 'bit_length': 256}}
PAIR = {'type': 'asymmetric', 'meta': {'algorithm': 'ec', 'bit_length': 256}}
FULL = 'Creation not allowed because a quota has been reached.'


def give(admin, project_id='alpha', **quotas):
    assert admin.put(f'/v1/project-quotas/{project_id}',
                     {'project_quotas': quotas}).status_int == 204


def test_a_project_has_no_limits_unless_somebody_sets_them(ann):
    assert ann.get('/v1/quotas').json == {'quotas': UNLIMITED}


def test_a_projects_own_quotas_go_before_the_defaults(folder):
    house = a_deployment(folder, {'quotas': {'secrets': 20, 'orders': 10}})
    ann, admin = Client(house.application), Client(house.application, roles='admin')
    assert ann.get('/v1/quotas').json['quotas'] == {**UNLIMITED, 'secrets': 20, 'orders': 10}
    give(admin, secrets=-5, consumers=3)
    assert ann.get('/v1/quotas').json['quotas'] == {**UNLIMITED, 'orders': 10, 'consumers': 3}
    house.close()


def test_quotas_are_set_merged_shown_and_removed(admin):
    path = '/v1/project-quotas/alpha'
    assert admin.get(path).json['description'] == 'Not Found. Project quotas not found.'
    give(admin, secrets=5, orders=0)
    give(admin, orders=None, cas=-1)
    assert admin.get(path).json == {'project_quotas': {**UNSET, 'secrets': 5, 'cas': -1}}
    assert admin.delete(path).status_int == 204
    assert admin.get(path).status_int == admin.delete(path).status_int == 404
    give(admin, orders=1)
    assert admin.get(path).json == {'project_quotas': {**UNSET, 'orders': 1}}


def test_projects_with_quotas_are_listed_page_by_page(admin):
    for project_id in ('c', 'a', 'b'):
        give(admin, project_id, secrets=1)
    first = admin.get('/v1/project-quotas?limit=2').json
    assert [one['project_id'] for one in first['project_quotas']] == ['a', 'b']
    assert first['project_quotas'][0]['project_quotas'] == {**UNSET, 'secrets': 1}
    assert (first['total'], '/v1/project-quotas?' in first['next']) == (3, True)
    assert [one['project_id'] for one in admin.get(
        '/v1/project-quotas?limit=2&offset=2').json['project_quotas']] == ['c']


@pytest.mark.parametrize('told', [
    {}, {'project_quotas': {}}, {'project_quotas': None}, {'project_quotas': {'secrets': 'many'}},
    {'project_quotas': {'secrets': True}}, {'project_quotas': {'volumes': 1}},
    {'project_quotas': {'secrets': 2 ** 31}}, {'project_quotas': {'secrets': 1}, 'more': 1}])
def test_quotas_that_make_no_sense_are_refused(admin, told):
    assert admin.put('/v1/project-quotas/alpha', told).status_int == 400
    assert admin.get('/v1/project-quotas/alpha').status_int == 404


def test_a_project_id_that_no_row_could_hold_is_refused(admin):
    told = {'project_quotas': {'secrets': 1}}
    assert admin.put('/v1/project-quotas/' + 'p' * 256, told).status_int == 400
    assert admin.get('/v1/project-quotas/' + 'p' * 256).status_int == 404


def test_only_admins_see_and_change_the_quotas_of_projects(ann, admin):
    told = {'project_quotas': {'secrets': 1}}
    for refused in (ann.get('/v1/project-quotas'), ann.get('/v1/project-quotas/alpha'),
                    ann.put('/v1/project-quotas/alpha', told), ann.delete('/v1/project-quotas/alpha')):
        assert refused.status_int == 403
    assert admin.post('/v1/project-quotas', told).status_int == 405


@pytest.mark.parametrize(('quotas', 'path', 'told'), [
    ({'secrets': 0}, '/v1/secrets', {}), ({'secrets': 0}, '/v1/secrets', TEXT),
    ({'secrets': 0}, '/v1/orders', KEY), ({'orders': 0}, '/v1/orders', KEY),
    ({'secrets': 1}, '/v1/orders', PAIR), ({'containers': 0}, '/v1/orders', PAIR)])
def test_what_there_is_no_room_for_is_refused_and_leaves_nothing(ann, admin, quotas, path, told):
    give(admin, **quotas)
    refused = ann.post(path, told)
    assert (refused.status_int, refused.json['description'].partition(' - ')[2]) == (403, FULL)
    for collection in ('secrets', 'orders'):
        assert ann.get(f'/v1/{collection}').json['total'] == 0


def test_what_goes_makes_room_and_so_does_what_expires(ann, admin, clock):
    give(admin, secrets=2)
    first = ann.secret()
    ann.secret(expiration='2030-01-01T13:00:00')
    assert ann.post('/v1/secrets', TEXT).status_int == 403
    ann.delete(first)
    ann.secret(None)
    assert ann.post('/v1/secrets', {}).status_int == 403
    clock.forward(hours=2)
    ann.secret()


def test_a_secret_that_an_order_made_counts(ann, admin):
    give(admin, secrets=1)
    assert ann.post('/v1/orders', KEY).status_int == 202
    assert ann.post('/v1/secrets', TEXT).status_int == 403
    assert ann.post('/v1/orders', KEY).status_int == 403


def test_the_quotas_of_one_project_are_no_others_business(ann, admin, eve):
    give(admin, secrets=0)
    eve.secret()
    assert ann.post('/v1/secrets', TEXT).status_int == 403
