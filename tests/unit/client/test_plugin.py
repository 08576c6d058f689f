# SPDX-License-Identifier: Apache-2.0
"""Beside the stock plugin: with every plugin that is installed here, each command is still found."""
from importlib.metadata import entry_points

import pytest
from cliff.commandmanager import CommandManager

OURS, STOCK = 'openstack.km.v1', 'openstack.key_manager.v1'
GROUPS = sorted(group for group in entry_points().groups
                if group.startswith('openstack.') and not group.startswith('openstack.cli.'))


def commands(*groups):
    """What ``openstack`` finds commands with, having loaded these entry point groups."""
    manager = CommandManager('openstack.cli')
    for group in groups:
        manager.add_command_group(group)
    return manager


def names(group):
    return {point.name.replace('_', ' ') for point in entry_points(group=group)}


def found(line, manager):
    """The class and the arguments that ``line`` leads to."""
    command, _, arguments = manager.find_command(line.split())
    return command.__name__, arguments


@pytest.fixture(scope='module')
def all_commands():
    return commands(*GROUPS)


def test_no_command_of_another_plugin_is_ours_too():
    others = [group for group in GROUPS if group != OURS]
    assert names(OURS) & set().union(*map(names, others)) == set()


@pytest.mark.parametrize('name', sorted(names(STOCK)))
def test_a_stock_command_is_found_as_it_was(name, all_commands):
    line = f'{name} list show --project x'
    alone = commands(STOCK)
    assert found(name, all_commands) == found(name, alone)
    if name != 'secret store':
        assert found(line, all_commands) == found(line, alone)


@pytest.mark.parametrize(('line', 'command', 'arguments'), [
    ('secret store -n x -p y', 'StoreSecret', '-n x -p y'),
    ('secret store', 'StoreSecret', ''),
    ('secret store --name list --payload list', 'StoreSecret', '--name list --payload list'),
    ('secret store -n list', 'StoreSecret', '-n list'),
    ('secret store -p get preferred', 'StoreSecret', '-p get preferred'),
    ('secret store -s opaque set preferred', 'StoreSecret', '-s opaque set preferred'),
    ('secret get list', 'GetSecret', 'list'),
    ('secret update http://x/v1/secrets/y preferred', 'UpdateSecret', 'http://x/v1/secrets/y preferred'),
    ('secret list -n store', 'ListSecret', '-n store'),
    ('secret store list', 'ListStores', ''),
    ('secret store list -f json', 'ListStores', '-f json'),
    ('secret store get preferred --project list', 'GetPreferred', '--project list'),
    ('secret store set preferred list', 'SetPreferred', 'list'),
    ('secret store set preferred set preferred', 'SetPreferred', 'set preferred'),
    ('secret store unset preferred', 'UnsetPreferred', ''),
    ('secret show list', 'ShowSecret', 'list'),
    ('secret quota show', 'ShowQuota', ''),
    ('secret quota set --secrets -1', 'SetQuota', '--secrets -1'),
    ('secret quota unset --project x', 'UnsetQuota', '--project x'),
    ('secret transport key get', 'GetTransportKey', ''),
])
def test_the_words_lead_to_the_command_they_mean(all_commands, line, command, arguments):
    assert found(line, all_commands) == (command, arguments.split())


def test_every_command_of_ours_has_a_line_of_help():
    for point in entry_points(group=OURS):
        parser = point.load()(None, None).get_parser(f'openstack {point.name}')
        assert len(parser.description.splitlines()[0]) > 20, point.name
