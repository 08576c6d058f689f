# SPDX-License-Identifier: Apache-2.0
"""The answer: may this identity do this to that?

It depends on the token and the database alone. No header, query or body ever gets in here
(CVE-2022-3100 is what happens otherwise). oslo.policy does the work, and nothing else knows it.
"""
from collections.abc import Mapping

from oslo_config import cfg
from oslo_policy.policy import Enforcer
from sqlalchemy import Row

from km.acl.policies import list_rules
from km.errors import Misconfigured
from km.identity import Identity

#: What a rule sees of the thing an action is about; empty where there is none yet.
Target = Mapping[str, object]

NOTHING: Target = {}


class Policy:
    """The rules in force: the defaults, and what ``policy.yaml`` says instead.

    They are read and compiled once; a change to the file is in force after a restart.
    """

    def __init__(self, conf: cfg.ConfigOpts):
        """Read the rules.

        :raises Misconfigured: ``policy.yaml`` cannot be read.
        """
        self._enforcer = Enforcer(conf)
        self._enforcer.register_defaults(list_rules(secure=conf.oslo_policy.enforce_new_defaults))
        try:
            self._enforcer.load_rules()
        except (ValueError, OSError, cfg.Error) as error:
            raise Misconfigured(f'[oslo_policy] policy_file: it cannot be read: {error}') from None
        self._enforcer.use_conf = False  # or each decision would look at the files again

    def allowed(self, identity: Identity, action: str, target: Target = NOTHING) -> bool:
        """Whether the rule of ``action`` lets ``identity`` act on ``target``; no rule, no right."""
        return bool(self._enforcer.enforce(action, target, {
            'user_id': identity.user_id, 'project_id': identity.project_id,
            'roles': identity.roles}))

    def sees_private(self, identity: Identity, action: str) -> bool:
        """Whether ``identity`` may do ``action`` to what others in its project keep private."""
        return self.allowed(identity, action, {
            'target.secret.project_id': identity.project_id, 'target.secret.creator_id': '',
            'target.secret.read_project_access': False, 'target.secret.read': ''})


def secret_target(row: Row) -> Target:
    """A secret, as the rules see it."""
    return {
        'target.secret.project_id': row.project_id,
        'target.secret.creator_id': row.creator_id or '',
        'target.secret.read_project_access': bool(row.project_access),
        'target.secret.read': 'read' if row.read_by_acl else ''}
