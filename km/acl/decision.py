# SPDX-License-Identifier: Apache-2.0
"""The answer: may this identity do this to that?

It depends on the token and the database alone. No header, query or body ever gets in here
(CVE-2022-3100 is what happens otherwise). oslo.policy does the work, and nothing else knows it.
"""
import functools
import re

from oslo_config import cfg
from oslo_policy.policy import Enforcer, InvalidDefinitionError

from km.acl.policies import list_rules
from km.acl.targets import NOTHING, Target
from km.errors import Misconfigured
from km.identity import Identity

_REMEMBERED = 10000
_ASKS_ELSEWHERE = re.compile(r'\bhttps?:')
_REFERS = re.compile(r'\brule:([^\s()]+)')


class Policy:
    """The rules in force: the defaults, and what ``policy.yaml`` says instead.

    They are read and compiled once; a change to the file is in force after a restart. Answers are
    remembered: oslo.policy takes half a millisecond for one, as long as all the SQL of a request.
    """

    def __init__(self, conf: cfg.ConfigOpts):
        """Read the rules.

        :raises Misconfigured: ``policy.yaml`` is named and not there, cannot be read, or says
            something that would let everybody or nobody through by accident.
        """
        self._enforcer = Enforcer(conf)
        self._enforcer.register_defaults(list_rules(secure=conf.oslo_policy.enforce_new_defaults))
        try:
            self._enforcer.load_rules()
            self._enforcer.check_rules(raise_on_violation=True)
        except (ValueError, TypeError, AttributeError, OSError, cfg.Error,
                InvalidDefinitionError) as error:
            raise _misconfigured(f'it cannot be used: {error}') from None
        self._refuse_accidents(conf)
        self._enforcer.use_conf = False  # or each decision would look at the files again
        self._decided = functools.lru_cache(maxsize=_REMEMBERED)(self._decide)

    def _refuse_accidents(self, conf: cfg.ConfigOpts) -> None:
        named = conf.get_location('policy_file', 'oslo_policy')
        if named and named.location is not cfg.Locations.opt_default and not self._enforcer.policy_path:
            raise _misconfigured(f'{conf.oslo_policy.policy_file} is not there.')
        actions = {rule.name for rule in list_rules()}
        for name, rule in self._enforcer.file_rules.items():
            if not isinstance(rule.check_str, str):
                raise _misconfigured(f"the rule of '{name}' is no text; to let everybody through, "
                                     'write "@".')
            if _ASKS_ELSEWHERE.search(rule.check_str):
                raise _misconfigured(f"the rule of '{name}' asks another server; decisions depend on "
                                     'the token and the database alone.')
            if ':' in name and name not in actions:
                raise _misconfigured(f"there is no action '{name}'.")

    def unused(self) -> list[str]:
        """Names in ``policy.yaml`` that km has no rule of and no rule refers to: misspelled, perhaps."""
        own, overriding = self._enforcer.registered_rules, self._enforcer.file_rules
        referred = {name for rule in {**own, **overriding}.values()
                    for name in _REFERS.findall(str(rule.check_str))}
        return sorted(overriding.keys() - own.keys() - referred)

    def allowed(self, identity: Identity, action: str, target: Target = NOTHING) -> bool:
        """Whether the rule of ``action`` lets ``identity`` act on ``target``; no rule, no right."""
        return self._decided(
            action, identity.user_id, identity.project_id, identity.roles, tuple(target.items()))

    def sees_private(self, identity: Identity, kind: str) -> bool:
        """Whether ``identity`` may see what others in its project keep private.

        :param kind: of what: 'secret' or 'container'.
        """
        return self.allowed(identity, f'{kind}:get', {
            f'target.{kind}.project_id': identity.project_id, f'target.{kind}.creator_id': '',
            f'target.{kind}.read_project_access': False, f'target.{kind}.read': ''})

    def _decide(self, action: str, user_id: str | None, project_id: str, roles: tuple[str, ...],
                target: tuple[tuple[str, object], ...]) -> bool:
        token = {'project_id': project_id, 'roles': roles}
        if user_id:  # or nobody would be the owner of what nobody created
            token['user_id'] = user_id
        return bool(self._enforcer.enforce(action, dict(target), token))


def _misconfigured(said: str) -> Misconfigured:
    return Misconfigured(f'[oslo_policy] policy_file: {said}')
