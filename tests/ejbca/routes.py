# SPDX-License-Identifier: Apache-2.0
"""Which call does what, who may make it, and in which edition it is there."""
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from tests.ejbca import authorities, enrolling, entities, revoking, searching
from tests.ejbca.refusals import Refusal, Waiting

PREFIX = '/ejbca/ejbca-rest-api'


@dataclass(frozen=True)
class Route:
    """A call. ``enterprise``: only that edition has it; ``anybody``: no administrator is needed."""

    method: str
    template: str
    do: object
    enterprise: bool = False
    anybody: bool = False

    def arguments(self, method, path):
        """What is in the places of the template, if this is the call."""
        pattern = re.sub(r'\{\w+\}', '([^/]+)', re.escape(self.template).replace(r'\{', '{').replace(
            r'\}', '}'))
        found = re.fullmatch(pattern, path) if method == self.method else None
        return None if found is None else [unquote(part) for part in found.groups()]


ROUTES = (
    Route('GET', '/v1/certificate/status', authorities.status, anybody=True),
    Route('GET', '/v1/ca', authorities.listed),
    Route('GET', '/v1/ca/{subject}/certificate/download', authorities.download),
    Route('GET', '/v1/ca/{issuer}/getLatestCrl', authorities.latest_crl),
    Route('POST', '/v1/certificate/pkcs10enroll', enrolling.pkcs10enroll),
    Route('POST', '/v1/certificate/certificaterequest', enrolling.certificaterequest),
    Route('POST', '/v1/certificate/search', searching.search),
    Route('POST', '/v1/certificate/{number}/finalize', enrolling.finalize),
    Route('PUT', '/v1/certificate/{issuer}/{serial}/revoke', revoking.revoke),
    Route('GET', '/v1/certificate/{issuer}/{serial}/revocationstatus', revoking.revocation_status),
    Route('POST', '/v1/endentity', entities.create, enterprise=True),
    Route('POST', '/v1/endentity/search', entities.search, enterprise=True),
    Route('POST', '/v1/endentity/{username}/setstatus', entities.set_status, enterprise=True),
    Route('DELETE', '/v1/endentity/{username}', entities.delete, enterprise=True),
)


@dataclass(frozen=True)
class Request:
    """A request as it came. ``query`` has the last value of each name."""

    method: str
    path: str
    query: dict
    content: bytes

    @classmethod
    def of(cls, method, target, content):
        path, _, query = target.partition('?')
        return cls(method, path, dict(parse_qsl(query, keep_blank_values=True)), content)


def answer(world, request, *, authorise):
    """Status and body of the answer: JSON as an object, a file as bytes, or None."""
    with world.lock:
        try:
            if not world.settings['protocol_on']:
                raise Refusal(403, 'The REST protocol is disabled.')
            route, arguments = _route(world, request)
            if not route.anybody:
                authorise()
            return route.do(world, request, *arguments)
        except Refusal as refusal:
            return refusal.status, {'error_code': refusal.status, 'error_message': refusal.message}
        except Waiting as waiting:
            return 202, _waiting(world, waiting.number)


def _route(world, request):
    path = request.path.removeprefix(PREFIX) if request.path.startswith(PREFIX) else ''
    for route in ROUTES:
        arguments = route.arguments(request.method, path)
        if arguments is not None and (world.settings['enterprise'] or not route.enterprise):
            return route, arguments
    raise Refusal(404, 'There is no such call.')


def _waiting(world, number):
    """That people have to approve it. The link is as useless as that of EJBCA: a part of its path is
    missing."""
    told = {'status_code': 202, 'info_message': 'People have to approve this.',
            'link': f'https://localhost{PREFIX}/{number}/finalize'}
    return {**told, 'request_id': number} if world.settings['tells_request_id'] else told
