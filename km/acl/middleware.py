# SPDX-License-Identifier: Apache-2.0
"""The one place where km asks whether a request is allowed.

Match the route, fetch the target by the ids in the path, decide, pass on. What travels on is
``km.rule``, ``km.ids``, ``km.target`` (the row, so that nobody fetches it twice), ``km.accepts_json``
and, for a list of secrets or containers, ``km.sees_private``; the audit record is written from them by
``km.api.requestlog``. Unknown is 404, foreign is 403, and it is said here only.
"""
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from webob import acceptparse

from km.acl import targets
from km.acl.decision import Policy
from km.acl.rules import (
    CONTAINERS_GET,
    MISSING,
    RULES,
    SECRET_GET,
    SECRETS_GET,
    NoSuchMethod,
    Rule,
)
from km.db.engine import Database
from km.db.failures import retried
from km.db.models import CONTAINER, SECRET
from km.errors import Forbidden, NotFound
from km.identity import Identity

_JSON = 'application/json'
#: Lists of things that some keep private.
_LISTED = {SECRETS_GET: SECRET, CONTAINERS_GET: CONTAINER}


class AccessControl:
    """WSGI middleware; needs ``km.identity`` in the environ.

    :param app: gets only what is allowed.
    """

    def __init__(self, app: Callable, *, policy: Policy, database: Database,
                 clock: Callable[[], datetime]):
        self._app, self._policy, self._database, self._clock = app, policy, database, clock
        self._routes = _tree(RULES)

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Any:
        identity = environ['km.identity']
        rule, ids = self._match(environ)
        environ['km.rule'], environ['km.ids'] = rule, ids
        target = targets.NOTHING
        if ids and (kind := targets.kind_of(ids)):
            environ['km.target'] = row = self._fetch(kind, ids, identity, rule)
            target = targets.described(kind, row)
        if not self._policy.allowed(identity, rule.action, target):
            raise Forbidden(f'{rule.operation} attempt not allowed - '
                            'please review your user/project privileges')
        if rule.action in _LISTED:
            environ['km.sees_private'] = self._policy.sees_private(identity, _LISTED[rule.action])
        return self._app(environ, start_response)

    def _match(self, environ: dict[str, Any]) -> tuple[Rule, dict[str, str]]:
        """The rule of a request and the ids in its path.

        :raises NotFound, NoSuchMethod: there is none.
        """
        node, ids = self._routes, {}
        path = environ['PATH_INFO']
        if not (path.isascii() and path.isprintable()):
            raise NotFound('')  # no name and no id in km is anything else
        for segment in path.split('/'):
            if not segment:
                continue
            if segment in node['names']:
                node = node['names'][segment]
            elif node['id']:
                name, node = node['id']
                ids[name] = segment
            else:
                raise NotFound(node['missing'])
        method = environ['REQUEST_METHOD']
        environ['km.accepts_json'] = json = _accepts_json(environ.get('HTTP_ACCEPT'))
        if not node['rules']:
            raise NotFound('')
        if (method, True) not in node['rules']:
            raise NoSuchMethod(sorted({verb for verb, _ in node['rules']}))
        if (method, False) in node['rules'] and not json:
            return node['rules'][method, False], ids
        return node['rules'][method, True], ids

    @retried
    def _fetch(self, kind: str, ids: dict[str, str], identity: Identity, rule: Rule) -> Row:
        with self._database.statement() as connection:
            return targets.fetch(connection, kind, ids[f'{kind}_id'], identity=identity,
                                 now=self._clock(), whole=rule.action == SECRET_GET)


def _accepts_json(accept: str | None) -> bool:
    """Whether JSON is among what an Accept header allows; what is no such header allows nothing."""
    if not accept or accept == _JSON:
        return True
    parsed = acceptparse.create_accept_header(accept)
    return not isinstance(parsed, acceptparse.AcceptInvalidHeader) and bool(
        parsed.acceptable_offers([_JSON]))


def _tree(rules: tuple[Rule, ...]) -> dict[str, Any]:
    """Rules by path: a node has children by name, one by id at the most, and rules by method."""
    root = _node('')
    for rule in rules:
        node, path = root, ''
        for segment in filter(None, f'v1/{rule.path}'.split('/')):
            path += f'/{segment}'
            below = _node(MISSING.get(path.removeprefix('/v1/'), ''))
            if segment.startswith('{'):
                node['id'] = node['id'] or (segment.strip('{}'), below)
                node = node['id'][1]
            else:
                node = node['names'].setdefault(segment, below)
        node['rules'][rule.method, rule.json] = rule
    return root


def _node(missing: str) -> dict[str, Any]:
    return {'names': {}, 'id': None, 'rules': {}, 'missing': missing}
