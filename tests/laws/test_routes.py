# SPDX-License-Identifier: Apache-2.0
"""The rules and the resources are about the same routes, and every action has its defaults."""
import inspect
import re
from collections import Counter

import pytest
from oslo_policy.policy import DocumentedRuleDefault

from km.acl.policies import list_rules
from km.acl.rules import RULES
from km.api import root
from km.api.resource import House, Links
from km.worker.client import Worker


@pytest.fixture
def tree(house):
    """The resources as the application has them."""
    return root.tree(House(
        worker=Worker(house.registry.transport), database=house.database,
        links=Links(None), options=house.conf.api, clock=house.clock))


def verbs(resource):
    """The names of what Pecan would call as a verb."""
    return {name for name, found in inspect.getmembers(resource, callable)
            if getattr(found, 'exposed', False) and name != '_route'}


def routes(resource, path=()):
    """Each (method, path) below a resource, with the ids that its verb takes in their order.

    The ``object_id`` of a shared resource is the id of a thing of its kind.
    """
    for name in verbs(resource):
        arguments = [f'{resource.kind}_id' if argument == 'object_id' else argument
                     for argument in inspect.signature(getattr(resource, name)).parameters]
        filled = iter(arguments)
        named = [f'{{{next(filled, "missing")}}}' if part == '{}' else part for part in path]
        assert len(arguments) == path.count('{}'), f'{name} of {path} takes {arguments}'
        yield name.upper(), '/'.join(named)
    for name, child in resource.children.items():
        yield from routes(child, (*path, name))
    if resource.member:
        yield from routes(resource.member, (*path, '{}'))


def test_there_is_no_rule_without_a_verb_and_no_verb_without_a_rule(tree):
    assert list(tree.children) == ['v1']
    assert not tree.member
    assert not verbs(tree)
    assert sorted(routes(tree.children['v1'])) == sorted(
        {(rule.method, rule.path) for rule in RULES})


def test_a_verb_is_named_like_a_method_of_http(tree):
    assert {method for method, _ in routes(tree)} <= {'GET', 'POST', 'PUT', 'PATCH', 'DELETE'}


def test_no_two_rules_are_about_the_same():
    assert [what for what, times in Counter(
        (rule.method, rule.path, rule.json) for rule in RULES).items() if times > 1] == []


def test_ids_at_one_place_have_one_name():
    names = {}
    for rule in RULES:
        for end in re.finditer(r'\{(\w+)\}', rule.path):
            names.setdefault(rule.path[:end.start()], set()).add(end[1])
    assert {path: found for path, found in names.items() if len(found) > 1} == {}


@pytest.mark.parametrize('secure', [True, False], ids=['secure', 'legacy'])
def test_every_action_has_a_documented_default_and_every_default_a_route(secure):
    defaults = [rule for rule in list_rules(secure=secure) if isinstance(rule, DocumentedRuleDefault)]
    assert sorted(rule.name for rule in defaults) == sorted({rule.action for rule in RULES})
    for rule in defaults:
        assert rule.description.endswith('.')
        assert rule.operations


@pytest.mark.parametrize('secure', [True, False], ids=['secure', 'legacy'])
def test_every_rule_that_a_default_names_is_there(secure):
    rules = list_rules(secure=secure)
    named = {name for rule in rules for name in re.findall(r'rule:(\w+)', rule.check_str)}
    assert named <= {rule.name for rule in rules}


def test_only_the_version_document_is_for_everybody_with_a_token():
    for secure in (True, False):
        assert [rule.name for rule in list_rules(secure=secure)
                if rule.check_str in ('', '@')] == ['version:get']
