# SPDX-License-Identifier: Apache-2.0
"""What Schemathesis cannot know of km's OpenAPI document: formats, and what JSON Schema cannot say."""
from datetime import datetime

import schemathesis
from hypothesis import strategies

_TRANSPORT_KEY = {'transport_key_id', 'transport_key_ref'}
_YET_TO_COME = strategies.datetimes(min_value=datetime(2100, 1, 1)).map(datetime.isoformat)
_TIME = strategies.datetimes().map(datetime.isoformat) | strategies.dates().map(str)
_KEYS = strategies.sampled_from(('name', 'created', 'status:desc', 'bit_length:asc'))

schemathesis.openapi.format('expiration', _YET_TO_COME | strategies.just(''))
schemathesis.openapi.format('times', _TIME | _TIME.map('gte:{}'.format) | strategies.tuples(
    _TIME, _TIME).map('gt:{0[0]},lt:{0[1]}'.format))
schemathesis.openapi.format('ordering', strategies.lists(_KEYS, unique=True).map(','.join))
schemathesis.openapi.format('secret-ref', strategies.uuids(version=4).map(
    'http://127.0.0.1/v1/secrets/{}'.format))

schemathesis.openapi.format('ca-ref', strategies.uuids(version=4).map(
    'http://127.0.0.1/v1/cas/{}'.format))
schemathesis.openapi.format('distinguished-name', strategies.from_regex(
    r'CN=[A-Za-z0-9]{1,40}(,O=[A-Za-z]{1,40})?', fullmatch=True))


@schemathesis.hook
def filter_case(context, case):
    """Whether a request can be judged by the document.

    A payload wrapped with a transport key cannot be made up. And JSON Schema cannot say of a container
    that its names must differ, nor of user metadata that keys must in more than case.
    """
    body = case.body if isinstance(case.body, dict) else {}
    if _TRANSPORT_KEY & {*body, *(case.query or {})}:
        return False
    pairs = body['metadata'] if isinstance(body.get('metadata'), dict) else {}
    return _differ(map(_name, _listed(body.get('secret_refs')))) and _differ(map(str.lower, pairs))


def _listed(value):
    return value if isinstance(value, list) else []


def _name(member):
    return str(member.get('name') or '') if isinstance(member, dict) else repr(member)


def _differ(values):
    found = list(values)
    return len(set(found)) == len(found)
