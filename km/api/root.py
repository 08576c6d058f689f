# SPDX-License-Identifier: Apache-2.0
"""The tree of resources, and the Pecan application around it."""
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pecan
from oslo_config import cfg
from webob import Response

from km.api import acls, metadata, secrets, versions
from km.api.resource import Request, Resource, shown, verb
from km.db.engine import Database
from km.worker.client import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What controllers work with.

    :param options: the ``[api]`` section.
    """

    worker: Worker
    database: Database
    options: cfg.ConfigOpts.GroupAttr
    clock: Callable[[], datetime]


class V1(Resource):
    """``/v1``"""

    def __init__(self, house: House, **children: Resource):
        super().__init__(**children)
        self._house = house

    @verb
    def get(self) -> Response:
        """The version document."""
        return shown({'version': versions.document(
            pecan.request.environ, self._house.options.host_href)})


def tree(house: House) -> Resource:
    """Every resource of the API."""
    return Resource(v1=V1(house, secrets=secrets.Secrets(house, member=secrets.Secret(
        house,
        payload=secrets.Payload(house),
        acl=acls.SecretAcl(house),
        metadata=metadata.Metadata(house, member=metadata.Metadatum(house))))))


def application(house: House) -> Callable:
    """The WSGI app that answers what the middleware lets through."""
    return pecan.make_app(
        tree(house), request_cls=Request, guess_content_type_from_ext=False, force_canonical=False)
