# SPDX-License-Identifier: Apache-2.0
"""Version documents and microversions (``OpenStack-API-Version: key-manager X.Y``)."""
import re
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import microversion_parse
from webob import Response

from km.api import query, schemas
from km.api.faults import NotAcceptable
from km.api.resource import Links
from km.errors import Malformed, NotFound

SERVICE = 'key-manager'
HEADER = 'OpenStack-API-Version'
MINIMUM, MAXIMUM = (1, 0), (1, 4)
#: Secrets show their consumers from here on.
CONSUMERS = (1, 1)
#: Who deletes a secret that has consumers must say that it is meant from here on.
KEPT_FOR_CONSUMERS = (1, 2)
#: Secrets and stores show the id of a store, and secrets can be moved to another, from here on.
STORES = (1, 3)
#: Certificates are a collection of their own, and orders of them can be cancelled, from here on.
CERTIFICATES = (1, 4)

_ENVIRON = 'HTTP_OPENSTACK_API_VERSION'
_NEWEST = '.'.join(map(str, MAXIMUM))
SUPPORTED = {f'1.{minor}': (1, minor) for minor in range(MINIMUM[1], MAXIMUM[1] + 1)}
_MEDIA_TYPES = [{'base': 'application/json',
                 'type': 'application/vnd.openstack.key-manager-v1+json'}]

_LINK = schemas.exactly({'rel': {'type': 'string'}, 'href': schemas.REF}, {'type': {'type': 'string'}})
_V1 = {'id': {'const': 'v1'}, 'links': {'type': 'array', 'items': _LINK}}
#: The second from microversion 1.1 on.
VERSION = schemas.named('Version', {'oneOf': [
    schemas.exactly({
        **_V1, 'status': {'const': 'stable'}, 'updated': {'type': 'string', 'format': 'date-time'},
        'media-types': {'type': 'array'}}),
    schemas.exactly({
        **_V1, 'status': {'const': 'CURRENT'}, 'min_version': {'type': 'string'},
        'max_version': {'type': 'string'}})]})


class Microversions:
    """WSGI middleware: negotiates ``km.microversion``; ``km.spoken`` is what every answer says of it."""

    def __init__(self, app: Callable):
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Any:
        environ['km.microversion'] = major, minor = negotiate(environ)
        environ['km.spoken'] = [(HEADER, f'{SERVICE} {major}.{minor}'), ('Vary', HEADER)]
        return self._app(environ, start_response)


def negotiate(environ: dict[str, Any]) -> tuple[int, int]:
    """The version a request asks for; the lowest if it asks for none.

    :raises Malformed: it cannot be read. :raises NotAcceptable: there is no such version.
    """
    if _ENVIRON not in environ:
        return MINIMUM
    asked = microversion_parse.get_version({HEADER: environ[_ENVIRON]}, SERVICE)
    if asked is None and SERVICE not in environ[_ENVIRON].replace(',', ' ').split():
        return MINIMUM  # it asks for versions of other services only
    if asked == 'latest':
        return MAXIMUM
    if asked in SUPPORTED:
        return SUPPORTED[asked]
    if asked and re.fullmatch(r'[0-9]{1,4}\.[0-9]{1,4}', asked):
        raise NotAcceptable(f'There are versions 1.0 to {_NEWEST} of this API.')
    raise Malformed(f'{HEADER} must be "{SERVICE} X.Y" or "{SERVICE} latest".')


def require(environ: dict[str, Any], version: tuple[int, int]) -> None:
    """:raises NotFound: the request is of a version that knows nothing of this."""
    if environ['km.microversion'] < version:
        raise NotFound('')


def document(environ: dict[str, Any], links: Links) -> dict[str, Any]:
    """The description of version 1, in the form the negotiated microversion has it."""
    found = [{'rel': 'self', 'href': f'{links.base(environ)}/v1/'},
             {'rel': 'describedby', 'type': 'text/html', 'href': 'https://docs.openstack.org/'}]
    if environ['km.microversion'] == MINIMUM:
        # keystoneauth treats a document of this old form as one without microversions.
        return {'id': 'v1', 'status': 'stable', 'updated': '2015-04-28T00:00:00Z',
                'links': found, 'media-types': _MEDIA_TYPES}
    return {'id': 'v1', 'status': 'CURRENT', 'min_version': '1.0', 'max_version': _NEWEST,
            'links': found}


class VersionList:
    """The WSGI app at ``/``, open to everybody: which versions there are, as status 300 says."""

    def __init__(self, links: Links):
        self._links = links

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Any:
        if 'build' in query.read(environ):
            return Response(json={'build': version('km')})(environ, start_response)
        if environ.get('HTTP_ACCEPT') == 'application/json-home':
            home = f'{self._links.base(environ)}/v1/'
            return Response(status=302, location=home)(environ, start_response)
        found = [document(environ, self._links)]
        versions = {'values': found} if environ['km.microversion'] == MINIMUM else found
        return Response(json={'versions': versions}, status=300)(environ, start_response)
