# SPDX-License-Identifier: Apache-2.0
"""The two sets of rules, as they are without a ``policy.yaml``."""
import pytest

from km.acl.decision import Policy
from km.conf.load import load
from km.testing.application import write_conf


def policy(folder, **oslo_policy):
    """The rules with these options of ``[oslo_policy]``."""
    return Policy(load(files=[str(write_conf(folder, {'oslo_policy': oslo_policy}))]))


@pytest.fixture(scope='session')
def secure(tmp_path_factory):
    return policy(tmp_path_factory.mktemp('secure', numbered=True))


@pytest.fixture(scope='session')
def legacy(tmp_path_factory):
    return policy(tmp_path_factory.mktemp('legacy', numbered=True), enforce_new_defaults='false')
