# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests: each call knows its fields, and refuses all others."""
import json

from tests.ejbca.refusals import Refusal

_ENROL = {'certificate_request': str, 'certificate_profile_name': str, 'end_entity_profile_name': str,
          'certificate_authority_name': str, 'username': str, 'password': str, 'include_chain': bool,
          'email': str, 'account_binding_id': str}
_NEWER_ENROL = {'response_format': str, 'subject_dn': str, 'extension_data': list, 'custom_data': list,
                'start_time': str, 'end_time': str}
_ENTITY = {'username': str, 'password': str, 'subject_dn': str, 'subject_alt_name': str, 'email': str,
           'extension_data': list, 'custom_data': list, 'ca_name': str, 'certificate_profile_name': str,
           'end_entity_profile_name': str, 'token': str, 'account_binding_id': str}
_NEWER_ENTITY = {'start_time': str, 'end_time': str}

CERTIFICATE_REQUEST = {
    'certificate_request': str, 'certificate_authority_name': str, 'username': str, 'password': str,
    'include_chain': bool, 'certificate_request_type': str}
FINALIZE = {'response_format': str, 'password': str, 'key_alg': str, 'key_spec': str}
SEARCH = {'max_number_of_results': int, 'criteria': list}
CRITERION = {'property': str, 'value': str, 'operation': str}
SET_STATUS = {'password': str, 'token': str, 'status': str}


def enrol(newer):
    """The fields of pkcs10enroll, in newer versions or older ones."""
    return {**_ENROL, **_NEWER_ENROL} if newer else _ENROL


def entity(newer):
    """The fields of a new end entity."""
    return {**_ENTITY, **_NEWER_ENTITY} if newer else _ENTITY


def read(content, fields):
    """The fields of a JSON object, and none but those."""
    try:
        told = json.loads(content)
    except ValueError:
        raise Refusal(400, 'The body is not JSON.') from None
    return closed(told, fields)


def closed(told, fields):
    """The same of what was read already."""
    if not isinstance(told, dict):
        raise Refusal(400, 'There should be an object.')
    for name, value in told.items():
        if name not in fields:
            raise Refusal(400, f'There is no field {name}.')
        if value is not None and type(value) is not fields[name]:
            raise Refusal(400, f'The field {name} has a value of the wrong type.')
    return {name: value for name, value in told.items() if value is not None}


def require(told, *names):
    """Insist that these are there, and give them."""
    for name in names:
        if not told.get(name):
            raise Refusal(400, f'The field {name} may not be empty.')
    return tuple(told[name] for name in names)
