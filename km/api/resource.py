# SPDX-License-Identifier: Apache-2.0
"""How Pecan finds a controller in km, and what controllers answer with: responses and links.

A class is a path, its methods are the verbs.

Pecan's own ``RestController`` lets a query parameter ``_method`` stand for another verb than the one
the ACL middleware saw. Its routing and its call of a controller inspect signatures for each request,
which costs more than all the rest of it; km's verbs take the ids in the path and nothing else.
"""
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import pecan
from oslo_config import cfg
from webob import Response
from webob.multidict import MultiDict

from km.acl.rules import NoSuchMethod
from km.api.faults import NotAcceptable
from km.api.schemas import Schema
from km.db.engine import Database
from km.errors import NotFound
from km.worker.client import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What a verb takes and answers, for ``km.api.openapi``; no request looks at it.

    Bodies are JSON of some schema, or one of ``schemas.ByType``, or, where secrets and containers
    differ, ``schemas.ByKind``.

    :param answers: what it succeeds with, by status; None where that has no body.
    :param takes: the body it needs, if any.
    :param query: the parameters it knows, by name.
    :param fails: statuses of errors beside those that any request may meet.
    """

    answers: Mapping[int, Schema | None]
    takes: Schema | None = None
    query: Mapping[str, Schema] | None = None
    fails: Sequence[int] = ()


def verb(**contract: Any) -> Callable[[Callable], Callable]:
    """Marks a method of a resource as a verb.

    What it returns is a whole Response, so Pecan negotiates nothing.

    :param contract: the fields of its ``Contract``.
    """
    def marked(method: Callable) -> Callable:
        method.contract = Contract(**contract)  # type: ignore[attr-defined]
        return pecan.expose(content_type=None)(method)

    return marked


class Request(pecan.Request):
    """A request that Pecan finds no parameters in.

    ``km.api.body`` and ``km.api.query`` read what there is, once and strictly; nothing a client
    sends becomes an argument of a verb by its name.
    """

    GET = params = MultiDict()

    @property
    def json(self) -> Any:
        raise ValueError('see km.api.body')


class Application(pecan.Pecan):
    """Pecan, with ``Resource`` for its routing.

    :param root: the ``Resource`` at ``/``.
    """

    def __init__(self, root: 'Resource'):
        super().__init__(root, request_cls=Request, guess_content_type_from_ext=False)

    def route(self, req: pecan.Request, node: 'Resource', path: str) -> tuple[Any, list[str]]:
        req.pecan['content_type'] = 'application/json'  # or Pecan would negotiate one
        return node.find(req)

    def invoke_controller(self, controller: Any, args: list, kwargs: dict, state: Any) -> None:
        state.response = controller(*args)


class Resource:
    """One path, or with ``{id}`` one kind of path.

    ``children`` are the resources at the names below it, ``member`` is the one at any other name,
    which becomes an argument of its verbs. Verbs are methods named in lower case.
    """

    #: Whether its representations are JSON, so that a client which cannot take that gets a 406.
    json_only: ClassVar[bool] = True

    def __init__(self, *, member: 'Resource | None' = None, **children: 'Resource'):
        self.member, self.children = member, children

    def find(self, request: pecan.Request) -> tuple[Any, list[str]]:
        """The verb that a request asks for, and its arguments.

        :raises NotFound, NoSuchMethod, NotAcceptable: there is none.
        """
        node, ids = self, []
        for segment in filter(None, request.environ['PATH_INFO'].split('/')):
            if segment in node.children:
                node = node.children[segment]
            elif node.member:
                node = node.member
                ids.append(segment)
            else:
                raise NotFound('')
        found = getattr(node, request.method.lower(), None)
        if not getattr(found, 'exposed', False):
            raise NoSuchMethod([])
        if node.json_only and not request.environ['km.accepts_json']:
            raise NotAcceptable('')
        return found, ids


class Links:
    """The URLs km hands out: absolute, the id last, no trailing slash.

    :param host_href: what each begins with; None for what the request was sent to.
    """

    def __init__(self, host_href: str | None):
        self._host_href = host_href and host_href.rstrip('/')

    def base(self, environ: dict[str, Any]) -> str:
        """What every link in the answer to a request begins with."""
        return self._host_href or pecan.Request(environ).application_url.rstrip('/')

    def to(self, environ: dict[str, Any], collection: str, *rest: str) -> str:
        """A link to a collection such as ``secrets``, or with ``rest`` to what is below it."""
        return '/'.join((self.base(environ), 'v1', collection, *rest))


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What controllers work with.

    :param options: the ``[api]`` section.
    """

    worker: Worker
    database: Database
    links: Links
    options: cfg.ConfigOpts.GroupAttr
    clock: Callable[[], datetime]


class HouseResource(Resource):
    """A resource with the means to do something.

    :param house: None for one that only tells of itself, to ``km.api.openapi``.
    """

    def __init__(self, house: House | None, **tree: Any):
        super().__init__(**tree)
        if house:
            self.house, self.links, self.call = house, house.links, house.worker.call


class SharedResource(HouseResource):
    """A resource that secrets and containers have alike.

    :param kind: of what this one is; its verbs call the id of that ``object_id``.
    """

    def __init__(self, house: House | None, *, kind: str, **tree: Any):
        super().__init__(house, **tree)
        self.kind = kind


def shown(body: Any, status: int = 200) -> Response:
    """A JSON response."""
    return Response(json_body=body, status=status, content_type='application/json', charset='UTF-8')


def created(body: dict[str, str], location: str) -> Response:
    """A 201 that says where the new thing is."""
    response = shown(body, 201)
    response.headers['Location'] = location
    return response


def accepted(body: dict[str, str], location: str) -> Response:
    """A 202 that says where to ask how the work stands."""
    response = created(body, location)
    response.status_int = 202
    return response


def nothing() -> Response:
    """A 204."""
    return Response(status=204, content_type=None)
