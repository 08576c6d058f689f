# SPDX-License-Identifier: Apache-2.0
"""ACLs of secrets and containers, contract section 6. What they allow: ``tests/unit/acl``."""
import pytest


@pytest.fixture(params=['secret', 'container'])
def path(ann, request):
    return f'{ann.secret() if request.param == "secret" else ann.container()}/acl'


def test_without_an_acl_the_project_may_read(ann, path):
    assert ann.get(path).json == {'read': {'project-access': True}}


def test_put_sets_all_of_it(ann, path, clock):
    put = ann.put(path, {'read': {'users': ['bob', 'bob', 'eve'], 'project-access': False}})
    assert (put.status_int, put.json) == (200, {'acl_ref': f'http://km.test:9311{path}'})
    assert ann.get(path).json == {'read': {
        'users': ['bob', 'eve'], 'project-access': False,
        'created': '2030-01-01T12:00:00.123456', 'updated': '2030-01-01T12:00:00.123456'}}
    clock.forward(seconds=1)
    ann.put(path, {'read': {'users': []}})
    assert ann.get(path).json == {'read': {
        'users': [], 'project-access': True,
        'created': '2030-01-01T12:00:00.123456', 'updated': '2030-01-01T12:00:01.123456'}}


@pytest.mark.parametrize('empty', [{}, {'read': {}}])
def test_an_empty_put_removes_it(ann, path, empty):
    ann.put(path, {'read': {'users': ['bob'], 'project-access': False}})
    assert ann.put(path, empty).status_int == 200
    assert ann.get(path).json == {'read': {'project-access': True}}


def test_patch_changes_what_it_names(ann, path):
    ann.patch(path, {'read': {'users': ['bob']}})
    assert ann.get(path).json['read']['project-access'] is True
    ann.patch(path, {'read': {'project-access': False}})
    assert ann.get(path).json['read']['users'] == ['bob']
    patched = ann.patch(path, {'read': {'users': ['eve']}})
    assert (patched.status_int, list(patched.json)) == (200, ['acl_ref'])
    read = ann.get(path).json['read']
    assert (read['users'], read['project-access']) == (['eve'], False)


def test_delete_answers_null_however_often(ann, path):
    ann.put(path, {'read': {'users': ['bob']}})
    for _ in range(2):
        gone = ann.delete(path)
        assert (gone.status_int, gone.json) == (200, None)
        assert gone.content_type == 'application/json'
    assert ann.get(path).json == {'read': {'project-access': True}}


@pytest.mark.parametrize('body', [
    {'write': {}}, {'read': None}, {'read': []}, {'read': {'groups': []}},
    {'read': {'users': 'bob'}}, {'read': {'users': [1]}}, {'read': {'users': ['bob', None]}},
    {'read': {'users': ['x' * 256]}}, {'read': {'users': ['']}},
    {'read': {'project-access': 'yes'}}, {'read': {'project-access': None}}])
@pytest.mark.parametrize('method', ['PUT', 'PATCH'])
def test_an_acl_that_cannot_be_is_refused_and_changes_nothing(ann, path, method, body):
    ann.put(path, {'read': {'users': ['bob']}})
    refused = ann.ask(method, path, json=body)
    assert refused.status_int == 400
    assert "schema 'ACL'" in refused.json['description']
    assert ann.get(path).json['read']['users'] == ['bob']


def test_post_is_no_way_to_make_one(ann, path):
    refused = ann.post(path, {})
    assert refused.status_int == 405
    assert refused.headers['Allow'] == 'DELETE, GET, PATCH, PUT'


def test_a_change_shows_in_what_it_is_of(ann, path, clock):
    clock.forward(seconds=1)
    ann.put(path, {'read': {'users': ['bob']}})
    assert ann.get(path.removesuffix('/acl')).json['updated'] == '2030-01-01T12:00:01.123456'
