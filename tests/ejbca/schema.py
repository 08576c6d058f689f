# SPDX-License-Identifier: Apache-2.0
"""What answers of EJBCA's REST interface look like, as JSON Schema: what is publicly known of them.

No object may have a field that is not written here. The stand-in does not use this; a test holds its
answers against it.
"""

_TEXT, _TRUTH, _NUMBER = {'type': 'string'}, {'type': 'boolean'}, {'type': 'integer'}
_BASE64 = {'type': 'string', 'pattern': '^[A-Za-z0-9+/]+={0,2}$'}
_SERIAL = {'type': 'string', 'pattern': '^([0-9A-F]{2})+$'}
_MOMENT = {'type': 'string', 'pattern': r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$'}
_REASON = {'enum': ['NOT_REVOKED', 'UNSPECIFIED', 'KEY_COMPROMISE', 'CA_COMPROMISE',
                    'AFFILIATION_CHANGED', 'SUPERSEDED', 'CESSATION_OF_OPERATION', 'CERTIFICATE_HOLD',
                    'REMOVE_FROM_CRL', 'PRIVILEGES_WITHDRAWN', 'AA_COMPROMISE']}


def _object(required, **others):
    return {'type': 'object', 'additionalProperties': False, 'required': list(required),
            'properties': {**required, **others}}


def _list(items):
    return {'type': 'array', 'items': items}


_CERTIFICATE = _object(
    {'certificate': _BASE64, 'serial_number': _SERIAL, 'response_format': {'enum': ['DER', 'PKCS7']}},
    certificate_chain=_list(_BASE64))
_FOUND = _object(
    {'certificate': _BASE64, 'serial_number': _SERIAL, 'response_format': _TEXT},
    certificate_chain=_list(_BASE64), certificate_profile=_TEXT, end_entity_profile=_TEXT)
_REVOCATION = _object(
    {'issuer_dn': _TEXT, 'serial_number': _TEXT, 'revoked': _TRUTH},
    revocation_reason=_REASON, revocation_date=_MOMENT, invalidity_date=_MOMENT, message=_TEXT)

#: By the last part of a call's path, and whether its status is 200 or 201: what it answers then.
ANSWERS = {
    ('status', 200): _object({'status': _TEXT, 'version': _TEXT, 'revision': _TEXT}),
    ('ca', 200): _object({'certificate_authorities': _list(_object(
        {'id': _NUMBER, 'name': _TEXT, 'subject_dn': _TEXT, 'issuer_dn': _TEXT,
         'expiration_date': _MOMENT}, external=_TRUTH))}),
    ('getLatestCrl', 200): _object({'crl': _BASE64, 'response_format': {'const': 'DER'}}),
    ('pkcs10enroll', 201): _CERTIFICATE,
    ('certificaterequest', 201): _CERTIFICATE,
    ('finalize', 201): _CERTIFICATE,
    ('certificate/search', 200): _object({'certificates': _list(_FOUND), 'more_results': _TRUTH}),
    ('endentity/search', 200): _object({'more_results': _TRUTH, 'end_entities': _list(_object(
        {'username': _TEXT, 'dn': _TEXT, 'status': _TEXT, 'token': _TEXT},
        subject_alt_name=_TEXT, email=_TEXT, extension_data=_list({})))}),
    ('revoke', 200): _REVOCATION,
    ('revocationstatus', 200): _REVOCATION,
}


def refusal(status):
    """What an answer looks like that says no."""
    return _object({'error_code': {'const': status}, 'error_message': _TEXT})


#: What an answer looks like that people have to approve something. Versions differ in how they say where
#: to ask again.
WAITING = {**_object({'status_code': {'const': 202}, 'info_message': _TEXT},
                     request_id=_NUMBER, link=_TEXT),
           'anyOf': [{'required': ['request_id']}, {'required': ['link']}]}
