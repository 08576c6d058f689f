# SPDX-License-Identifier: Apache-2.0
"""Subordinate authorities over HTTP: ``POST /v1/cas`` and ``DELETE /v1/cas/{id}``, with two projects."""
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7

from km.errors import Rejected, Unavailable
from tests.unit.api.authorities.conftest import BASE, UNKNOWN, act, listed, said, subordinate


def test_a_subordinate_is_made_and_read(admin, ann, root, plugin):
    path = subordinate(admin, root, name='mine', description='of alpha')
    told = ann.get(path).json
    assert (told['plugin_name'], told['plugin_ca_id'], told['status']) == (
        'first', path.rpartition('/')[2], 'ACTIVE')
    assert told['meta'][:2] == [{'name': 'mine'}, {'description': 'of alpha'}]
    chain = pkcs7.load_pem_pkcs7_certificates(ann.get(f'{path}/intermediates').body)
    signed = x509.load_pem_x509_certificate(ann.get(f'{path}/cacert').body)
    issuer = next(one for one in chain if one.subject == signed.issuer)
    signed.verify_directly_issued_by(issuer)
    assert len(chain) == 2


def test_the_parent_may_be_named_by_its_id_or_through_any_host(admin, root, plugin):
    for ref in (root.rpartition('/')[2], f'https://elsewhere/prefix{root}'):
        assert subordinate(admin, root, parent_ca_ref=ref)
    assert {request.parent for request in plugin.made.values()} == {'memory'}


def test_the_subject_goes_to_the_plugin_as_the_name_it_is(admin, root, plugin):
    subordinate(admin, root, subject_dn=' cn = mine , O="Alpha, Inc." , C=de')
    made = x509.Name([x509.NameAttribute(x509.NameOID.COUNTRY_NAME, 'DE'),
                      x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, 'Alpha, Inc.'),
                      x509.NameAttribute(x509.NameOID.COMMON_NAME, 'mine')])
    assert [request.subject for request in plugin.made.values()] == [made.public_bytes()]


@pytest.mark.parametrize(('fields', 'reason'), [
    ({'name': None}, 'name'), ({'name': ''}, 'name'), ({'name': 'x' * 256}, 'name'),
    ({'subject_dn': None}, 'subject_dn'), ({'subject_dn': 'x' * 1025}, 'subject_dn'),
    ({'parent_ca_ref': None}, 'parent_ca_ref'), ({'parent_ca_ref': 7}, 'parent_ca_ref'),
    ({'parent_ca_ref': 'nothing'}, 'parent_ca_ref'), ({'description': 7}, 'description'),
    ({'parent_ca_ref': f'{BASE}/v1/secrets/{UNKNOWN[-36:]}'}, 'parent_ca_ref'),
    ({'colour': 'red'}, "Invalid property: ''"),
    ({'subject_dn': 'no name'}, 'Invalid subject DN:'), ({'subject_dn': 'CN='}, 'Invalid subject DN:'),
    ({'subject_dn': f'CN={"x" * 65}'}, 'Invalid subject DN:')])
def test_a_body_that_says_no_subordinate_is_refused(admin, root, plugin, fields, reason):
    told = {'name': 'mine', 'subject_dn': 'CN=mine', 'parent_ca_ref': BASE + root, **fields}
    body = {name: value for name, value in told.items() if value is not None}
    description = said(admin.post('/v1/cas', body), 400)
    assert description.startswith('CA creation issue seen - ')
    assert reason in description
    assert plugin.made == {}


def test_a_body_must_be_json(admin, root):
    assert admin.post('/v1/cas', body=b'{}', Content_Type='text/plain').status_int == 415
    assert said(admin.post('/v1/cas', body=b'{', Content_Type='application/json'), 400) == (
        'Malformed JSON')


def test_a_bad_parent_is_a_400_and_a_foreign_one_a_403(admin, boss, roots, root, plugin):
    new = {'name': 'mine', 'subject_dn': 'CN=mine'}
    assert said(admin.post('/v1/cas', {**new, 'parent_ca_ref': BASE + UNKNOWN}), 400) == (
        'CA creation issue seen - The parent CA in the request is invalid.')
    assert said(admin.post('/v1/cas', {**new, 'parent_ca_ref': BASE + roots['second', 'memory']}),
                400) == 'CA creation issue seen - The parent CA can have no subordinate CAs.'
    foreign = subordinate(boss, root)
    assert said(admin.post('/v1/cas', {**new, 'parent_ca_ref': BASE + foreign}), 403) == (
        'Subordinate CA is not owned by this project')


def test_what_the_plugin_says_is_passed_on(admin, root, plugin):
    new = {'name': 'mine', 'subject_dn': 'CN=mine', 'parent_ca_ref': BASE + root}
    plugin.fail = {('make_subordinate', 'before'): Rejected('The names are not allowed.')}
    assert said(admin.post('/v1/cas', new), 400) == (
        'CA creation issue seen - The names are not allowed.')
    plugin.fail = {('make_subordinate', 'before'): Unavailable('Down.')}
    assert admin.post('/v1/cas', new).status_int == 503
    assert len(listed(admin)) == 3


def test_the_quota_of_cas_holds_for_each_project(admin, boss, root):
    admin.put('/v1/project-quotas/alpha', {'project_quotas': {'cas': 1}})
    assert admin.get('/v1/quotas').json['quotas']['cas'] == 1
    path = subordinate(admin, root)
    new = {'name': 'mine', 'subject_dn': 'CN=mine', 'parent_ca_ref': BASE + root}
    assert said(admin.post('/v1/cas', new), 403) == (
        'CA creation issue seen - Creation not allowed because a quota has been reached.')
    assert subordinate(boss, root)
    admin.delete(path)
    assert subordinate(admin, root)


def test_a_foreign_subordinate_is_forbidden_whatever_is_asked_of_it(admin, boss, root):
    foreign = subordinate(boss, root)
    for method, rest in (('GET', ''), ('GET', '/cacert'), ('GET', '/intermediates'), ('DELETE', ''),
                         ('POST', '/add-to-project'), ('POST', '/remove-from-project'),
                         ('POST', '/set-preferred')):
        assert admin.ask(method, foreign + rest).status_int == 403, rest
    assert boss.get(foreign).status_int == 200


def test_a_subordinate_is_deleted_and_a_root_is_not(admin, ann, root, plugin):
    path = subordinate(admin, root)
    assert ann.delete(path).status_int == 403
    deleted = admin.delete(path)
    assert (deleted.status_int, deleted.body) == (204, b'')
    assert (ann.get(path).status_int, set(plugin.memory.issuers)) == (404, {'memory'})
    assert said(admin.delete(root), 403) == 'Only subordinate CAs can be deleted.'


def test_one_that_is_preferred_is_not_deleted_while_the_project_has_others(admin, root):
    path = subordinate(admin, root)
    act(admin, path, 'add-to-project')
    act(admin, root, 'add-to-project')
    assert admin.delete(path).status_int == 409
    assert act(admin, root, 'set-preferred') == 204
    assert admin.delete(path).status_int == 204
    assert listed(admin) == [root]
