# SPDX-License-Identifier: Apache-2.0
"""``/v1/containers``: create, list, read, delete; secrets added to them and removed."""
import re
from typing import Any, NamedTuple

import pecan
from webob import Response

from km.api import body, query, schemas
from km.api.resource import HouseResource, Links, created, nothing, shown, verb
from km.db import containers as rows
from km.db.models import ACTIVE
from km.db.pages import Filter
from km.errors import Invalid, NotFound
from km.lifecycle import containers

GENERIC = 'generic'

CONTAINER_SECRET = {
    'type': 'object',
    'properties': {'name': schemas.SHORT_OR_NULL,
                   'secret_ref': {'type': 'string', 'format': 'secret-ref'}},
    'required': ['secret_ref'],
}
CONTAINER = {
    'type': 'object',
    'properties': {
        'name': schemas.SHORT_OR_NULL,
        'type': {'enum': [GENERIC, 'rsa', 'certificate']},
        'secret_refs': {'type': 'array', 'items': CONTAINER_SECRET},
    },
    'required': ['type'],
}
_require_container = schemas.validator('Container', CONTAINER)
_require_container_secret = schemas.validator('ContainerSecret', CONTAINER_SECRET)

#: A link to a secret, by whatever name its sender reaches km, or its id alone.
_SECRET_REF = re.compile(r'(?:https?://[^\s/?#]+(?:/[^\s?#]*)?/v1/secrets/)?'
                         r'([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\Z')
_REF = schemas.exactly({'container_ref': schemas.REF})
SHOWN = schemas.named('Container Shown', schemas.exactly({
    'created': schemas.TIME,
    'updated': schemas.TIME,
    'status': {'const': ACTIVE},
    'name': schemas.STRING_OR_NULL,
    'type': {'enum': [GENERIC, 'rsa', 'certificate']},
    'creator_id': schemas.STRING_OR_NULL,
    'secret_refs': {'type': 'array', 'items': schemas.exactly({
        'name': schemas.STRING_OR_NULL, 'secret_ref': schemas.REF})},
    'consumers': {'type': 'array', 'items': schemas.exactly({
        'name': schemas.STRING, 'URL': schemas.STRING})},
    'container_ref': schemas.REF,
}))


class Names(NamedTuple):
    """What the secrets of a type of container must and may be called."""

    required: frozenset[str]
    optional: frozenset[str]


#: Of a generic container they may be called anything.
NAMES = {
    'rsa': Names(frozenset(('public_key', 'private_key')), frozenset(('private_key_passphrase',))),
    'certificate': Names(frozenset(('certificate',)), frozenset(
        ('private_key', 'private_key_passphrase', 'intermediates'))),
}


def _form(kind: str, names: Names) -> schemas.Schema:
    """What ``_members`` insists on of a type of container, for who describes it."""
    return {
        'properties': {'type': {'const': kind}, 'secret_refs': {
            'items': {'properties': {'name': {'enum': sorted(names.required | names.optional)}},
                      'required': ['name']},
            'allOf': [{'contains': {'properties': {'name': {'const': name}}, 'required': ['name']}}
                      for name in sorted(names.required)]}},
        'required': ['secret_refs']}


_FORMS = {'anyOf': [{'properties': {'type': {'const': GENERIC}}}, *(
    _form(kind, names) for kind, names in NAMES.items())]}


class Containers(HouseResource):
    """``/v1/containers``"""

    @verb(query={**query.PAGING, 'name': query.NAME_LIKE, 'type': {'type': 'string'}},
          answers={200: schemas.page('containers', SHOWN)})
    def get(self) -> Response:
        """A page of the containers the caller may see, filtered as the query says."""
        environ, options = pecan.request.environ, self.house.options
        asked, identity = query.read(environ), environ['km.identity']
        page = query.page(asked, default=options.default_page_size, most=options.max_page_size)
        with self.house.database.statement() as connection:
            found, total = rows.page(
                connection, identity.project_id, reader=identity.user_id,
                sees_private=environ['km.sees_private'], filters=_filters(asked),
                now=self.house.clock(), limit=page.limit, offset=page.offset)
        url = self.links.to(environ, 'containers')
        return shown({
            'containers': [described(container, environ, self.links) for container in found],
            'total': total, **page.links(url, asked, total)})

    @verb(takes={'allOf': [CONTAINER, _FORMS]}, answers={201: _REF}, fails=(404,))
    def post(self) -> Response:
        """Create a container; 201 with its ``container_ref``."""
        request = pecan.request
        told = body.read(request)
        _require_container(told)
        container_id = self.call(
            containers.create, request.environ['km.identity'], name=told.get('name'),
            container_type=told['type'], members=_members(told['type'], told.get('secret_refs', [])))
        return _created(container_id, request.environ, self.links)


class Container(HouseResource):
    """``/v1/containers/{container_id}``"""

    @verb(answers={200: SHOWN})
    def get(self, container_id: str) -> Response:
        """The container, with its secrets and consumers."""
        return shown_now(self, container_id)

    @verb(answers={204: None})
    def delete(self, container_id: str) -> Response:
        """Delete it; its secrets stay; 204."""
        self.call(containers.delete, pecan.request.environ['km.identity'], container_id=container_id)
        return nothing()


class ContainerSecrets(HouseResource):
    """``/v1/containers/{container_id}/secrets``"""

    @verb(takes=CONTAINER_SECRET, answers={201: _REF}, fails=(409,))
    def post(self, container_id: str) -> Response:
        """Add a secret; 201 with the container's ``container_ref``."""
        environ = pecan.request.environ
        name, secret = _changed(environ)
        self.call(containers.add, environ['km.identity'], container_id=container_id,
                  name=name or '', secret=secret)
        return _created(container_id, environ, self.links)

    @verb(takes=CONTAINER_SECRET, answers={204: None})
    def delete(self, container_id: str) -> Response:
        """Remove the secret that the body names; 204."""
        environ = pecan.request.environ
        name, secret = _changed(environ)
        self.call(containers.remove, environ['km.identity'], container_id=container_id,
                  name=name, secret=secret)
        return nothing()


def described(container: rows.Whole, environ: dict[str, Any], links: Links) -> dict[str, Any]:
    """A container as clients see it."""
    row, secrets, consumers = container
    return {
        'created': row.created.isoformat(),
        'updated': row.updated.isoformat(),
        'status': row.status,
        'name': row.name,
        'type': row.type,
        'creator_id': row.creator_id,
        'secret_refs': [{'name': name or None, 'secret_ref': links.to(environ, 'secrets', secret_id)}
                        for name, secret_id in secrets],
        'consumers': [{'name': name, 'URL': url} for name, url in consumers],
        'container_ref': links.to(environ, 'containers', row.id),
    }


def shown_now(resource: HouseResource, container_id: str) -> Response:
    """A container as it is at this moment.

    :raises NotFound: it was deleted meanwhile.
    """
    with resource.house.database.statement() as connection:
        found = rows.whole(connection, container_id, now=resource.house.clock())
    if found is None:
        raise NotFound('Secrets container not found.')
    return shown(described(found, pecan.request.environ, resource.links))


def _created(container_id: str, environ: dict[str, Any], links: Links) -> Response:
    href = links.to(environ, 'containers', container_id)
    return created({'container_ref': href}, href)


def _filters(asked: dict[str, str]) -> list[Filter]:
    found = [query.text('name', asked['name'])] if 'name' in asked else []
    return [*found, Filter('type', 'eq', asked['type'])] if 'type' in asked else found


def _members(container_type: str, refs: list[dict[str, Any]]) -> dict[str, str]:
    """The ids of the secrets that a new container of a type is to have, by their names.

    :raises Invalid: a name or a secret is there twice, or the type is not one for these names.
    """
    members = {ref.get('name') or '': _secret_id(ref['secret_ref']) for ref in refs}
    if len(members) < len(refs):
        raise schemas.unfit('Container', 'must have names that differ', 'secret_refs')
    if len(set(members.values())) < len(refs):
        raise schemas.unfit('Container', 'must have secrets that differ', 'secret_refs')
    if container_type in NAMES:
        required, optional = NAMES[container_type]
        if not required <= members.keys() <= required | optional:
            raise schemas.unfit('Container', (
                f"of type '{container_type}' must have {', '.join(sorted(required))} and may have "
                f"{', '.join(sorted(optional))}, nothing else"), 'secret_refs')
    return members


def _changed(environ: dict[str, Any]) -> tuple[str | None, str]:
    """Name and id of the secret that is to be added or removed; the name is None if none is given.

    :raises Invalid: the body does not name a secret, or the container cannot be changed.
    """
    told = body.read(pecan.request)
    _require_container_secret(told)
    if environ['km.target'].type != GENERIC:
        raise Invalid("Only 'generic' containers can be modified.")
    return told.get('name') or None, _secret_id(told['secret_ref'])


def _secret_id(ref: str) -> str:
    """The id in a link to a secret.

    :raises Invalid: it is no such link.
    """
    if not (found := _SECRET_REF.match(ref)):
        raise Invalid('Provided field value is not supported: a secret_ref is a URL that ends in '
                      '/v1/secrets/ and an id, or an id.')
    return found[1]
