# SPDX-License-Identifier: Apache-2.0
"""Searching for certificates, by the first version of that call. It writes them in base64 of base64."""
import base64
import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.ejbca import bodies, names
from tests.ejbca.enrolling import serial
from tests.ejbca.refusals import Refusal

_MOST = 400
_TEXTS = ('QUERY', 'CA', 'CERTIFICATE_PROFILE', 'END_ENTITY_PROFILE', 'STATUS')
_DATES = {'ISSUED_DATE': lambda kept: kept.certificate.not_valid_before_utc,
          'EXPIRE_DATE': lambda kept: kept.certificate.not_valid_after_utc}


def search(world, request):
    """Certificates that have all that is asked for."""
    told = bodies.read(request.content, bodies.SEARCH)
    most = told.get('max_number_of_results', 0)
    if not 0 < most <= _MOST or not told.get('criteria'):
        raise Refusal(400, 'There is nothing to search for, or the number of results is wrong.')
    found = list(world.certificates)
    for criterion in told['criteria']:
        wanted = bodies.closed(criterion, bodies.CRITERION)
        found = [kept for kept in found if _matches(world, kept, wanted)]
    return 200, {'certificates': [_told(kept) for kept in found[:most]],
                 'more_results': len(found) > most}


def _matches(world, kept, wanted):
    kind, value, how = (wanted.get(name) for name in ('property', 'value', 'operation'))
    if kind in _DATES and how in ('BEFORE', 'AFTER'):
        moment = _moment(value)
        return _DATES[kind](kept) < moment if how == 'BEFORE' else _DATES[kind](kept) > moment
    if kind not in _TEXTS or how not in ('EQUAL', 'LIKE') or not value:
        raise Refusal(400, 'There is no such property or operation.')
    match kind:
        case 'QUERY':
            texts = [kept.username, names.spelt(kept.certificate.subject), serial(kept.certificate),
                     *_alternatives(kept.certificate)]
            return value in texts if how == 'EQUAL' else any(value in text for text in texts)
        case 'CA':
            return world.authority(value, status=400) is kept.authority
        case 'STATUS':
            return _status(kept, value)
        case 'CERTIFICATE_PROFILE':
            return kept.certificate_profile.name == value
    return kept.profile.name == value


def _status(kept, value):
    if value == 'CERT_ACTIVE':
        return kept.reason is None
    if value == 'CERT_REVOKED':
        return kept.reason is not None
    if not value.startswith('REVOCATION_REASON_'):
        raise Refusal(400, 'There is no such status.')
    return (kept.reason or '').replace('_', '') == value.removeprefix('REVOCATION_REASON_')


def _moment(text):
    try:
        moment = datetime.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise Refusal(400, 'That is no date.') from None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _alternatives(certificate):
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [f'dNSName={name}' for name in found.get_values_for_type(x509.DNSName)]


def _told(kept):
    once = base64.b64encode(kept.certificate.public_bytes(Encoding.DER))
    return {'certificate': base64.b64encode(once).decode(),
            'serial_number': serial(kept.certificate), 'response_format': 'DER',
            'certificate_profile': kept.certificate_profile.name,
            'end_entity_profile': kept.profile.name}
