# SPDX-License-Identifier: Apache-2.0
"""``openstack secret quota``: what it asks of the API, checked by a stand-in."""
import json

import pytest
from osc_lib.exceptions import CommandError

from km.client.quotas import SetQuota, ShowQuota, UnsetQuota

QUOTAS = {'secrets': 20, 'orders': 20, 'containers': 20, 'consumers': -1, 'cas': 10}


def test_the_own_quotas_are_those_in_force(server, openstack):
    server.answers['GET', '/v1/quotas'] = 200, {'quotas': QUOTAS}
    assert json.loads(openstack(ShowQuota, '-f', 'json')) == QUOTAS


def test_the_quotas_of_another_project_are_those_that_are_set(server, openstack):
    told = {**QUOTAS, 'secrets': None}
    server.answers['GET', '/v1/project-quotas/beta'] = 200, {'project_quotas': told}
    assert json.loads(openstack(ShowQuota, '--project', 'beta', '-f', 'json')) == told


def test_quotas_are_set_one_by_one(server, openstack):
    server.answers['PUT', '/v1/project-quotas/beta'] = 204, ''
    assert openstack(SetQuota, '--project', 'beta', '--secrets', '-1', '--cas', '0') == ''
    assert server.asked == [('PUT', '/v1/project-quotas/beta',
                             {'project_quotas': {'secrets': -1, 'cas': 0}})]


def test_quotas_are_unset(server, openstack):
    server.answers['DELETE', '/v1/project-quotas/beta'] = 204, ''
    assert openstack(UnsetQuota, '--project', 'beta') == ''
    assert server.asked == [('DELETE', '/v1/project-quotas/beta', None)]


def test_setting_nothing_is_an_error(server, openstack):
    with pytest.raises(CommandError, match='--secrets, --orders, --containers, --consumers, --cas'):
        openstack(SetQuota, '--project', 'beta')
    assert server.asked == []


@pytest.mark.parametrize('command', [(SetQuota, '--orders', '1'), (UnsetQuota,)])
def test_credentials_that_tell_no_project_need_it_named(server, openstack, command):
    with pytest.raises(CommandError, match='--project'):
        openstack(*command)
    assert server.asked == []


def test_an_odd_project_id_leads_nowhere_else(server, openstack):
    server.answers['DELETE', '/v1/project-quotas/..%2Fsecrets%3Fx'] = 204, ''
    openstack(UnsetQuota, '--project', '../secrets?x')
    assert len(server.asked) == 1


def test_a_project_without_quotas_is_told_to_have_none(server, openstack):
    server.answers['GET', '/v1/project-quotas/beta'] = 404, {
        'code': 404, 'title': 'Not Found', 'description': 'Project quotas not found.'}
    with pytest.raises(CommandError, match='Project quotas not found'):
        openstack(ShowQuota, '--project', 'beta')
