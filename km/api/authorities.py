# SPDX-License-Identifier: Apache-2.0
"""``/v1/cas``: certificate authorities, of which certificates are ordered by ``ca_id``.

A root one is what the operator has enabled. A subordinate is of the project that had it made, and for
any other it is a 403, whatever the path. A project that has chosen some of them orders of those alone.
"""
import re
from typing import Any

import pecan
from cryptography import x509
from sqlalchemy import Row
from webob import Response

from km.api import body, query, schemas
from km.api.resource import HouseResource, Links, created, nothing, shown, verb
from km.certificates import certificates, subjects
from km.db import authorities as rows
from km.db import chosen_authorities as chosen
from km.db.models import ACTIVE, DISABLED
from km.db.pages import Filter
from km.errors import Invalid, NotFound
from km.lifecycle import authorities, subordinates

_COLLECTION = 'cas'
CA = {
    'type': 'object',
    'properties': {
        'name': schemas.TEXT,
        'subject_dn': {**schemas.TEXT, 'maxLength': subjects.MAX_TEXT, 'format': 'distinguished-name'},
        'parent_ca_ref': {**schemas.TEXT, 'maxLength': 2048, 'format': 'ca-ref'},
        'description': {**schemas.SHORT_OR_NULL, 'maxLength': 1024},
    },
    'required': ['name', 'subject_dn', 'parent_ca_ref'],
    'additionalProperties': False,
}
_require_ca = schemas.validator('CA', CA)

#: A link to an authority, by whatever name its sender reaches km, or its id alone.
_CA_REF = re.compile(r'(?:https?://[^\s/?#]+(?:/[^\s?#]*)?/v1/cas/)?'
                     r'([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\Z')
#: The columns that parameters ask for equality with; ``plugin_id`` is how older pages call one.
_FILTERS = {'name': 'name', 'plugin_name': 'plugin_name', 'plugin_ca_id': 'plugin_ca_id',
            'plugin_id': 'plugin_ca_id'}
_QUERY = {**query.PAGING, **dict.fromkeys(_FILTERS, schemas.STRING)}
_REF = schemas.exactly({'ca_ref': schemas.REF})
_PAGE = schemas.page(_COLLECTION, schemas.REF)
_PEM = schemas.ByType({'text/plain': schemas.STRING})
SHOWN = schemas.named('CA Shown', schemas.exactly({
    'status': {'enum': [ACTIVE, DISABLED]},
    'created': schemas.TIME,
    'updated': schemas.TIME,
    'ca_id': schemas.STRING,
    'plugin_name': schemas.STRING,
    'plugin_ca_id': schemas.STRING,
    'expiration': {'anyOf': [schemas.TIME, {'type': 'null'}]},
    'meta': {'type': 'array', 'items': {'anyOf': [schemas.exactly({name: schemas.STRING}) for name in (
        'name', 'description', 'ca_signing_certificate', 'intermediates')]}},
}))


class Authorities(HouseResource):
    """``/v1/cas``"""

    @verb(query=_QUERY, answers={200: _PAGE})
    def get(self) -> Response:
        """A page of references to the CAs that the project may use, and to its own."""
        return _page(self, pecan.request.environ['km.identity'].project_id)

    @verb(takes=CA, answers={201: _REF})
    def post(self) -> Response:
        """Have a CA made under another, for the own project; 201 with its ``ca_ref``."""
        environ = pecan.request.environ
        told = body.read(pecan.request)
        _require_ca(told)
        ca_id = self.call(
            subordinates.create, environ['km.identity'], name=told['name'],
            description=told.get('description') or '', subject=_subject(told['subject_dn']),
            parent_id=_parent_id(told['parent_ca_ref']))
        href = self.links.to(environ, _COLLECTION, ca_id)
        return created({'ca_ref': href}, href)


class AllAuthorities(HouseResource):
    """``/v1/cas/all``"""

    @verb(query=_QUERY, answers={200: _PAGE})
    def get(self) -> Response:
        """A page of references to the CAs of all projects."""
        return _page(self, None)


class Authority(HouseResource):
    """``/v1/cas/{ca_id}``"""

    @verb(answers={200: SHOWN})
    def get(self, ca_id: str) -> Response:
        """The CA, as its plugin described it; that holds until ``expiration``."""
        return shown(described(pecan.request.environ['km.target']))

    @verb(answers={204: None}, fails=(409,))
    def delete(self, ca_id: str) -> Response:
        """Delete it, if it is a subordinate: it issues no more, and its key is destroyed; 204."""
        self.call(subordinates.delete, pecan.request.environ['km.identity'], ca_id=ca_id)
        return nothing()


class Certificate(HouseResource):
    """``/v1/cas/{ca_id}/cacert``"""

    json_only = False

    @verb(answers={200: _PEM})
    def get(self, ca_id: str) -> Response:
        """The certificate that it signs with, in PEM."""
        return _pem(pecan.request.environ['km.target'].certificate)


class Intermediates(HouseResource):
    """``/v1/cas/{ca_id}/intermediates``"""

    json_only = False

    @verb(answers={200: _PEM})
    def get(self, ca_id: str) -> Response:
        """The certificates above that one, as a certs-only PKCS#7 message in PEM."""
        return _pem(_intermediates(pecan.request.environ['km.target']))


class Projects(HouseResource):
    """``/v1/cas/{ca_id}/projects``"""

    @verb(answers={200: schemas.exactly({'projects': {'type': 'array', 'items': schemas.STRING}})})
    def get(self, ca_id: str) -> Response:
        """The ids of the projects that have chosen it."""
        with self.house.database.statement() as connection:
            return shown({'projects': list(chosen.projects(connection, ca_id))})


class AddToProject(HouseResource):
    """``/v1/cas/{ca_id}/add-to-project``"""

    @verb(answers={204: None})
    def post(self, ca_id: str) -> Response:
        """Have the own project choose it; the first one it chooses is the one it prefers; 204."""
        self.call(authorities.add, pecan.request.environ['km.identity'], ca_id=ca_id)
        return nothing()


class RemoveFromProject(HouseResource):
    """``/v1/cas/{ca_id}/remove-from-project``"""

    @verb(answers={204: None}, fails=(409,))
    def post(self, ca_id: str) -> Response:
        """Have the own project choose it no more; without any it may use all again; 204."""
        self.call(authorities.remove, pecan.request.environ['km.identity'], ca_id=ca_id)
        return nothing()


class SetPreferred(HouseResource):
    """``/v1/cas/{ca_id}/set-preferred``"""

    @verb(answers={204: None})
    def post(self, ca_id: str) -> Response:
        """Have the own project, which has chosen it, prefer it; 204."""
        self.call(authorities.prefer, pecan.request.environ['km.identity'], ca_id=ca_id)
        return nothing()


class SetGlobalPreferred(HouseResource):
    """``/v1/cas/{ca_id}/set-global-preferred``"""

    @verb(answers={204: None})
    def post(self, ca_id: str) -> Response:
        """Have all projects that prefer none prefer it; 204."""
        self.call(authorities.prefer_globally, pecan.request.environ['km.identity'], ca_id=ca_id)
        return nothing()


class UnsetGlobalPreferred(HouseResource):
    """``/v1/cas/unset-global-preferred``"""

    @verb(answers={204: None})
    def post(self) -> Response:
        """Take that back; 204."""
        self.call(authorities.unprefer_globally, pecan.request.environ['km.identity'])
        return nothing()


class Preferred(HouseResource):
    """``/v1/cas/preferred``"""

    @verb(answers={200: _REF}, fails=(404,))
    def get(self) -> Response:
        """The CA that the own project prefers, or else the global preferred one."""
        project_id = pecan.request.environ['km.identity'].project_id
        with self.house.database.statement() as connection:
            row = chosen.preferred(connection, project_id) or rows.global_preferred(connection)
        return _ref(row, self.links, 'No preferred CA defined for this project.')


class GlobalPreferred(HouseResource):
    """``/v1/cas/global-preferred``"""

    @verb(answers={200: _REF}, fails=(404,))
    def get(self) -> Response:
        """The CA of projects that prefer none."""
        with self.house.database.statement() as connection:
            row = rows.global_preferred(connection)
        return _ref(row, self.links, 'No global preferred CA defined.')


def described(row: Row) -> dict[str, Any]:
    """An authority as clients see it; ``meta`` is a list of objects with one key each."""
    meta = {'name': row.name, 'description': row.description,
            'ca_signing_certificate': row.certificate, 'intermediates': _intermediates(row)}
    return {
        'status': row.status,
        'created': row.created.isoformat(),
        'updated': row.updated.isoformat(),
        'ca_id': row.id,
        'plugin_name': row.plugin_name,
        'plugin_ca_id': row.plugin_ca_id,
        'expiration': row.expiration and row.expiration.isoformat(),
        'meta': [{name: value} for name, value in meta.items() if value is not None],
    }


def _page(resource: HouseResource, project_id: str | None) -> Response:
    """A page of references.

    :param project_id: to what this project sees; None for all.
    """
    environ, options = pecan.request.environ, resource.house.options
    asked = query.read(environ)
    page = query.page(asked, default=options.default_page_size, most=options.max_page_size)
    filters = [Filter(column, 'eq', asked[name]) for name, column in _FILTERS.items() if name in asked]
    with resource.house.database.statement() as connection:
        found, total = rows.page(connection, project_id=project_id, filters=filters,
                                 limit=page.limit, offset=page.offset)
    url = resource.links.to(environ, _COLLECTION, *(() if project_id else ('all',)))
    return shown({
        'cas': [resource.links.to(environ, _COLLECTION, row.id) for row in found], 'total': total,
        **page.links(url, asked, total)})


def _ref(row: Row | None, links: Links, otherwise: str) -> Response:
    if row is None:
        raise NotFound(otherwise)
    return shown({'ca_ref': links.to(pecan.request.environ, _COLLECTION, row.id)})


def _pem(text: str | None) -> Response:
    if text is None:
        raise NotFound('CA attribute not found.')
    return Response(text=text, content_type='text/plain', charset='UTF-8')


def _intermediates(row: Row) -> str | None:
    if row.chain is None:
        return None
    return certificates.certs_only(certificates.from_pem(row.chain.encode())).decode()


def _subject(text: str) -> bytes:
    """The Name that a new authority shall have, DER.

    :raises Invalid: it is no distinguished name (RFC 4514), or an empty one.
    """
    name = subjects.parse(text)
    if name == x509.Name([]):
        raise Invalid('Invalid subject DN: it is empty.')
    return name.public_bytes()


def _parent_id(ref: str) -> str:
    """The id in a reference to the authority above a new one.

    :raises Invalid: it is no such reference.
    """
    found = _CA_REF.match(ref)
    if found is None:
        raise schemas.unfit('CA', 'is not a reference to a CA', 'parent_ca_ref')
    return found[1]
