# SPDX-License-Identifier: Apache-2.0
"""``openstack ca`` with words after it: what it asks of the API, checked by a stand-in."""
import json

import pytest
from osc_lib.exceptions import CommandError

from km.client.authorities import (
    AddToProject,
    CreateAuthority,
    DeleteAuthority,
    ListProjects,
    RemoveFromProject,
    SetGlobalPreferred,
    SetPreferred,
    ShowAuthority,
    ShowGlobalPreferred,
    ShowPreferred,
    UnsetGlobalPreferred,
)

ID, PARENT = '0a8f0c5e-54c5-4c0b-8f0a-0d5b8c3f1a01', '0a8f0c5e-54c5-4c0b-8f0a-0d5b8c3f1a02'
REF, PARENT_REF = (f'https://keys.example.org/v1/cas/{ca_id}' for ca_id in (ID, PARENT))
TOLD = {'status': 'ACTIVE', 'created': '2030-01-01T12:00:00', 'updated': '2030-01-01T12:00:00',
        'ca_id': ID, 'plugin_name': 'local', 'plugin_ca_id': 'issuing',
        'expiration': '2030-01-02T12:00:00', 'meta': [
            {'name': 'ours'}, {'description': 'of us all'}, {'ca_signing_certificate': 'a PEM'}]}
SHOWN = {'CA ID': ID, 'Name': 'ours', 'Description': 'of us all', 'Status': 'ACTIVE',
         'Plugin name': 'local', 'Plugin CA ID': 'issuing', 'Created': '2030-01-01T12:00:00',
         'Updated': '2030-01-01T12:00:00', 'Expiration': '2030-01-02T12:00:00',
         'Certificate': 'a PEM', 'Intermediates': None}


def named(server, name, *refs):
    """Have the stand-in list these for a name."""
    server.answers['GET', f'/v1/cas?name={name}'] = 200, {'cas': list(refs), 'total': len(refs)}


@pytest.fixture(params=['ours', ID, REF], ids=['name', 'id', 'reference'])
def asked(request, server):
    """An authority as somebody names it."""
    named(server, 'ours', REF)
    named(server, ID)
    named(server, REF.replace(':', '%3A').replace('/', '%2F'))
    return request.param


def test_one_is_shown_by_name_id_or_reference(server, openstack, asked):
    server.answers['GET', f'/v1/cas/{ID}'] = 200, TOLD
    assert json.loads(openstack(ShowAuthority, asked, '-f', 'json')) == SHOWN


@pytest.mark.parametrize(('command', 'action'), [
    (SetPreferred, 'set-preferred'), (SetGlobalPreferred, 'set-global-preferred'),
    (AddToProject, 'add-to-project'), (RemoveFromProject, 'remove-from-project')])
def test_what_is_chosen_is_chosen_by_name_id_or_reference(server, openstack, asked, command, action):
    server.answers['POST', f'/v1/cas/{ID}/{action}'] = 204, ''
    assert openstack(command, asked) == ''
    assert server.asked[-1] == ('POST', f'/v1/cas/{ID}/{action}', None)


def test_one_is_deleted_by_name_id_or_reference(server, openstack, asked):
    server.answers['DELETE', f'/v1/cas/{ID}'] = 204, ''
    assert openstack(DeleteAuthority, asked) == ''
    assert server.asked[-1] == ('DELETE', f'/v1/cas/{ID}', None)


def test_a_subordinate_is_made_and_shown(server, openstack):
    named(server, 'root', PARENT_REF)
    server.answers['POST', '/v1/cas'] = 201, {'ca_ref': REF}
    server.answers['GET', f'/v1/cas/{ID}'] = 200, TOLD
    made = openstack(CreateAuthority, 'ours', '--parent', 'root', '--subject', 'CN=ours', '-f', 'json')
    assert json.loads(made) == SHOWN
    body = {'name': 'ours', 'subject_dn': 'CN=ours', 'parent_ca_ref': PARENT}
    assert server.asked[1] == ('POST', '/v1/cas', body)
    openstack(CreateAuthority, 'ours', '--parent', 'root', '--subject', 'CN=ours',
              '--description', 'of us all', '-f', 'json')
    assert server.asked[4] == ('POST', '/v1/cas', {**body, 'description': 'of us all'})


@pytest.mark.parametrize(('command', 'path'), [
    (ShowPreferred, '/v1/cas/preferred'), (ShowGlobalPreferred, '/v1/cas/global-preferred')])
def test_the_preferred_one_is_shown(server, openstack, command, path):
    server.answers['GET', path] = 200, {'ca_ref': REF}
    server.answers['GET', f'/v1/cas/{ID}'] = 200, TOLD
    assert json.loads(openstack(command, '-f', 'json')) == SHOWN


def test_the_global_preference_is_unset(server, openstack):
    server.answers['POST', '/v1/cas/unset-global-preferred'] = 204, ''
    assert openstack(UnsetGlobalPreferred) == ''
    assert server.asked == [('POST', '/v1/cas/unset-global-preferred', None)]


def test_the_projects_that_chose_one_are_listed(server, openstack, asked):
    server.answers['GET', f'/v1/cas/{ID}/projects'] = 200, {'projects': ['alpha', 'beta']}
    assert json.loads(openstack(ListProjects, asked, '-f', 'json')) == [
        {'Project': 'alpha'}, {'Project': 'beta'}]


def test_one_that_is_not_there_is_not_asked_for(server, openstack):
    named(server, 'no%20such')
    with pytest.raises(CommandError, match="no CA 'no such'"):
        openstack(DeleteAuthority, 'no such')
    assert [method for method, *_ in server.asked] == ['GET']


def test_one_name_of_two_is_an_error(server, openstack):
    named(server, 'ours', REF, PARENT_REF)
    with pytest.raises(CommandError, match='Several'):
        openstack(DeleteAuthority, 'ours')


def test_what_the_server_says_is_told(server, openstack):
    named(server, 'ours', REF)
    server.answers['DELETE', f'/v1/cas/{ID}'] = 403, {
        'code': 403, 'title': 'Forbidden', 'description': 'Only subordinate CAs can be deleted.'}
    with pytest.raises(CommandError, match=r'Only subordinate CAs can be deleted\.'):
        openstack(DeleteAuthority, 'ours')
