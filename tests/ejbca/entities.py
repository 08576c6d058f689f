# SPDX-License-Identifier: Apache-2.0
"""End entities, which only the Enterprise Edition has in its REST interface."""
from tests.ejbca import bodies, names
from tests.ejbca.enrolling import read_time
from tests.ejbca.refusals import Refusal
from tests.ejbca.world import Entity

_STATUSES = ('NEW', 'FAILED', 'INITIALIZED', 'INPROCESS', 'GENERATED', 'REVOKED', 'HISTORICAL',
             'KEYRECOVERY', 'WAITINGFORADDAPPROVAL')
_TOKENS = ('USERGENERATED', 'P12', 'JKS', 'BCFKS', 'PEM')


def create(world, request):
    """Make an end entity, or have people asked whether it may be."""
    told = bodies.read(request.content, bodies.entity(world.settings['newer']))
    username, subject_dn, authority, certificate_profile, profile, token = bodies.require(
        told, 'username', 'subject_dn', 'ca_name', 'certificate_profile_name',
        'end_entity_profile_name', 'token')
    issuer = world.authority(authority)
    found, allowed = world.profiles(certificate_profile, profile, issuer)
    if token not in _TOKENS:
        raise Refusal(400, 'There is no such token.')
    if username in world.entities:
        raise Refusal(400, 'There is such an end entity already.')
    subject = names.read_name(subject_dn)
    alternatives = names.read_alternatives(told.get('subject_alt_name', ''))
    allowed.require(subject, alternatives)
    entity = Entity(username, told.get('password'), subject, alternatives, issuer, found, allowed,
                    ends=read_time(told.get('end_time')))

    def add():
        world.entities[username] = entity

    if world.settings['approve_entities']:
        world.ask_people(username, add)
    add()
    return 200, None


def search(world, request):
    """End entities by their names, or by the state they are in."""
    told = bodies.read(request.content, bodies.SEARCH)
    if 'max_number_of_results' not in told or not told.get('criteria'):
        raise Refusal(400, 'There is nothing to search for.')
    found = list(world.entities.values())
    for criterion in told['criteria']:
        wanted = bodies.closed(criterion, bodies.CRITERION)
        found = [entity for entity in found if _matches(entity, wanted)]
    most = told['max_number_of_results']
    return 200, {'end_entities': [_told(entity) for entity in found[:most]],
                 'more_results': len(found) > most}


def set_status(world, request, username):
    """Give an end entity another status and password."""
    told = bodies.read(request.content, bodies.SET_STATUS)
    entity = _entity(world, username)
    if told.get('status') not in _STATUSES or told.get('token') not in _TOKENS:
        raise Refusal(400, 'There is no such status or token.')
    entity.status, entity.password = told['status'], told.get('password')
    return 200, None


def delete(world, _request, username):
    """Forget an end entity; its certificates stay."""
    del world.entities[_entity(world, username).username]
    return 200, None


def _entity(world, username):
    if username not in world.entities:
        raise Refusal(404, f'There is no end entity {username}.')
    return world.entities[username]


def _matches(entity, wanted):
    kind, value, how = wanted.get('property'), wanted.get('value'), wanted.get('operation')
    if how not in ('EQUAL', 'LIKE') or value is None:
        raise Refusal(400, 'There is no such operation.')
    if kind == 'QUERY':
        texts = (entity.username, names.spelt(entity.subject))
        return value in texts if how == 'EQUAL' else any(value in text for text in texts)
    if kind == 'STATUS' and value in _STATUSES:
        return entity.status == value
    raise Refusal(400, 'There is no such property.')


def _told(entity):
    return {'username': entity.username, 'dn': names.spelt(entity.subject), 'status': entity.status,
            'token': 'USERGENERATED'}
