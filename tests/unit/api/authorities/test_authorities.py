# SPDX-License-Identifier: Apache-2.0
"""``/v1/cas`` as the contract has it, section 10, with two plugins enabled and two projects.

Making and deleting them is in ``test_subordinates.py``.
"""
import pytest
from barbicanclient.v1.cas import CA
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7

from km.lifecycle import authorities
from km.testing.application import Client
from tests.unit.api.authorities.conftest import (
    BASE,
    NOT_FOUND,
    UNKNOWN,
    act,
    listed,
    said,
    subordinate,
)

# ---- reading


def test_an_authority_is_described_with_every_field_of_the_contract(ann, root, plugin):
    told = ann.get(root).json
    meta = told.pop('meta')
    ca_id = root.rpartition('/')[2]
    assert told == {
        'status': 'ACTIVE', 'created': '2030-01-01T12:00:00.123456',
        'updated': '2030-01-01T12:00:00.123456', 'ca_id': ca_id, 'plugin_name': 'first',
        'plugin_ca_id': 'memory', 'expiration': '2030-01-02T12:00:00.123456'}
    assert [list(one) for one in meta] == [
        ['name'], ['description'], ['ca_signing_certificate'], ['intermediates']]
    assert meta[:2] == [{'name': 'memory'}, {'description': 'memory, in memory'}]
    issuer = plugin.memory.issuers['memory']
    assert x509.load_pem_x509_certificate(
        meta[2]['ca_signing_certificate'].encode()) == issuer.certificate
    assert pkcs7.load_pem_pkcs7_certificates(meta[3]['intermediates'].encode()) == [
        x509.load_der_x509_certificate(der) for der in issuer.chain]


def test_barbicans_client_reads_it(ann, root):
    class Api:
        def get(self, path, params=None):
            return ann.get(f'/v1/{path}').json

    ca = CA(Api(), ca_ref=BASE + root)
    assert (ca.name, ca.description, ca.plugin_name, ca.plugin_ca_id, ca.status) == (
        'memory', 'memory, in memory', 'first', 'memory', 'ACTIVE')
    assert ca.expiration.isoformat().startswith('2030-01-02T12:00:00.123456')


def test_what_is_not_known_of_it_is_left_out(ann, root, plugin, house):
    plugin.authorities = lambda: [authorities.Authority(name='memory')]
    authorities.announce(house.context)
    assert ann.get(root).json['meta'] == [{'name': 'memory'}, {'description': ''}]
    for attribute in ('cacert', 'intermediates'):
        assert said(ann.get(f'{root}/{attribute}'), 404) == 'Not Found. CA attribute not found.'


def test_the_certificate_is_pem_and_the_chain_pkcs7_in_pem_for_whoever_accepts_what(ann, root, plugin):
    issuer = plugin.memory.issuers['memory']
    for accept in ({}, {'Accept': '*/*'}, {'Accept': 'application/json'}, {'Accept': 'text/plain'}):
        told = ann.get(f'{root}/cacert', **accept)
        assert (told.status_int, told.content_type) == (200, 'text/plain')
        assert x509.load_pem_x509_certificate(told.body) == issuer.certificate
        told = ann.get(f'{root}/intermediates', **accept)
        assert told.text.startswith('-----BEGIN PKCS7-----\n')
        assert pkcs7.load_pem_pkcs7_certificates(told.body) == [
            x509.load_der_x509_certificate(der) for der in issuer.chain]


@pytest.mark.parametrize('path', [UNKNOWN, '/v1/cas/nothing', '/v1/cas/5A8B8F0D-7E6A-4C9D-9E57'])
def test_a_wrong_id_is_not_found(admin, path):
    for method, rest in (('GET', ''), ('DELETE', ''), ('GET', '/cacert'), ('GET', '/intermediates'),
                         ('GET', '/projects'), ('POST', '/add-to-project'),
                         ('POST', '/remove-from-project'), ('POST', '/set-preferred'),
                         ('POST', '/set-global-preferred')):
        answer = admin.ask(method, path + rest)
        assert (answer.status_int, answer.json) == (404, NOT_FOUND), rest


@pytest.mark.parametrize('rest', ['colour', 'meta', 'cacert2'])
def test_a_wrong_attribute_is_not_found(ann, root, rest):
    for path in (root, UNKNOWN):
        assert said(ann.get(f'{path}/{rest}'), 404) == 'Not Found. CA attribute not found.'
    assert said(ann.get(f'{root}/cacert/more'), 404) == ''


def test_other_methods_are_refused_with_those_there_are(admin, root):
    assert admin.put(root).headers['Allow'] == 'DELETE, GET'
    assert admin.get(f'{root}/add-to-project').headers['Allow'] == 'POST'
    assert admin.ask('HEAD', root).status_int == 405


# ---- lists


def test_without_a_choice_a_project_sees_all_roots_and_its_own(ann, admin, eve, roots, root, clock):
    clock.forward(seconds=1)
    own = subordinate(admin, root)
    assert set(listed(ann)) == {*roots.values(), own}
    assert set(listed(eve)) == set(roots.values())
    assert listed(ann)[:3] == list(roots.values()), 'oldest first, those of a plugin in its order'


def test_with_a_choice_it_sees_that_and_its_own(ann, admin, eve, roots, root, clock):
    clock.forward(seconds=1)
    own = subordinate(admin, root)
    act(admin, roots['second', 'another'], 'add-to-project')
    assert listed(ann) == [roots['second', 'another'], own]
    assert set(listed(eve)) == set(roots.values())


def test_an_admin_sees_those_of_all_projects(admin, boss, ann, roots, root):
    own, others = subordinate(admin, root), subordinate(boss, root)
    act(admin, root, 'add-to-project')
    assert set(listed(admin, path='/v1/cas/all')) == {*roots.values(), own, others}
    assert ann.get('/v1/cas/all').status_int == 403


@pytest.mark.parametrize(('query', 'keys'), [
    ('?plugin_name=second', [('second', 'memory'), ('second', 'another')]),
    ('?plugin_ca_id=memory', [('first', 'memory'), ('second', 'memory')]),
    ('?plugin_id=memory', [('first', 'memory'), ('second', 'memory')]),
    ('?name=another', [('second', 'another')]), ('?name=none', []),
    ('?plugin_name=second&name=memory', [('second', 'memory')]),
    ('?plugin_ca_id=memory&plugin_id=another', []),
    ('?colour=red', [('first', 'memory'), ('second', 'memory'), ('second', 'another')])])
def test_the_lists_honour_their_filters(admin, roots, query, keys):
    for path in ('/v1/cas', '/v1/cas/all'):
        assert listed(admin, query, path) == [roots[key] for key in keys]


@pytest.mark.parametrize('path', ['/v1/cas', '/v1/cas/all'])
def test_pages_follow_each_other_with_the_filters_kept(admin, roots, path):
    first = admin.get(f'{path}?plugin_name=second&limit=1').json
    assert (len(first['cas']), first['total'], 'previous' in first) == (1, 2, False)
    assert first['next'].startswith(f'{BASE}{path}?')
    assert 'plugin_name=second' in first['next']
    second = admin.get(first['next'].removeprefix(BASE)).json
    assert (len(second['cas']), second['total'], 'next' in second) == (1, 2, False)
    assert 'plugin_name=second' in second['previous']
    assert [*first['cas'], *second['cas']] == [
        BASE + roots['second', name] for name in ('memory', 'another')]
    assert admin.get(f'{path}?limit=0&offset=0').json['total'] == 3
    assert admin.get(f'{path}?offset=100').json['cas'] == []


def test_one_that_is_not_enabled_any_more_is_told_of_as_such(admin, house, roots, root):
    act(admin, root, 'add-to-project')
    del house.registry.authorities['first']
    authorities.announce(house.context)
    assert admin.get(root).json['status'] == 'DISABLED'
    assert admin.get(root).json['expiration'] is None
    assert listed(admin) == [root]
    assert said(admin.post(f'{root}/set-preferred'), 400) == (
        'Setting preferred CA issue seen - The CA is not enabled.')


# ---- what projects choose


def test_the_first_one_added_is_preferred_and_adding_again_is_no_error(admin, ann, roots, root):
    assert said(ann.get('/v1/cas/preferred'), 404) == (
        'Not Found. No preferred CA defined for this project.')
    for _ in range(2):
        assert act(admin, roots['second', 'memory'], 'add-to-project') == 204
    assert act(admin, root, 'add-to-project') == 204
    assert ann.get('/v1/cas/preferred').json == {'ca_ref': BASE + roots['second', 'memory']}
    assert act(admin, root, 'set-preferred') == 204
    assert ann.get('/v1/cas/preferred').json == {'ca_ref': BASE + root}


def test_only_one_that_was_added_can_be_preferred(admin, root):
    assert said(admin.post(f'{root}/set-preferred'), 400) == (
        'Setting preferred CA issue seen - The CA is not among those of this project; add it first.')


def test_the_preferred_one_is_removed_last(admin, ann, roots, root):
    for path in (root, roots['second', 'memory']):
        act(admin, path, 'add-to-project')
    assert act(admin, root, 'remove-from-project') == 409
    assert act(admin, roots['second', 'memory'], 'remove-from-project') == 204
    assert act(admin, roots['second', 'memory'], 'remove-from-project') == 404
    assert act(admin, root, 'remove-from-project') == 204
    assert ann.get('/v1/cas/preferred').status_int == 404
    assert len(listed(ann)) == 3


def test_the_projects_that_chose_one_are_told_to_an_admin(admin, boss, ann, root, roots):
    for client in (boss, admin):
        act(client, root, 'add-to-project')
    assert admin.get(f'{root}/projects').json == {'projects': ['alpha', 'beta']}
    assert admin.get(f'{roots["second", "memory"]}/projects').json == {'projects': []}
    assert ann.get(f'{root}/projects').status_int == 403


def test_the_global_preference_is_for_projects_that_have_none(admin, boss, ann, eve, roots, root):
    assert said(admin.get('/v1/cas/global-preferred'), 404) == (
        'Not Found. No global preferred CA defined.')
    assert act(admin, root, 'set-global-preferred') == 204
    act(boss, roots['second', 'memory'], 'add-to-project')
    assert admin.get('/v1/cas/global-preferred').json == {'ca_ref': BASE + root}
    assert ann.get('/v1/cas/preferred').json == {'ca_ref': BASE + root}
    assert eve.get('/v1/cas/preferred').json == {'ca_ref': BASE + roots['second', 'memory']}
    assert act(admin, roots['second', 'another'], 'set-global-preferred') == 204
    assert ann.get('/v1/cas/preferred').json == {'ca_ref': BASE + roots['second', 'another']}
    for _ in range(2):
        assert act(admin, '/v1/cas', 'unset-global-preferred') == 204
    assert ann.get('/v1/cas/preferred').status_int == 404


def test_a_subordinate_cannot_be_preferred_by_all(admin, root):
    assert act(admin, subordinate(admin, root), 'set-global-preferred') == 400


@pytest.mark.parametrize('action', [
    'add-to-project', 'remove-from-project', 'set-preferred', 'set-global-preferred'])
def test_only_an_admin_chooses(ann, root, action):
    answer = ann.post(f'{root}/{action}')
    assert answer.status_int == 403
    assert answer.json['description'].endswith(
        'attempt not allowed - please review your user/project privileges')
    assert ann.post('/v1/cas/unset-global-preferred').status_int == 403
    assert ann.get('/v1/cas/global-preferred').status_int == 403


def test_whoever_reads_may_look(house, root):
    reader, stranger = (Client(house.application, roles=roles) for roles in ('reader', 'other'))
    for path in ('/v1/cas', root, f'{root}/cacert', f'{root}/intermediates'):
        assert (reader.get(path).status_int, stranger.get(path).status_int) == (200, 403)
