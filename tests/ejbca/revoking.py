# SPDX-License-Identifier: Apache-2.0
"""Revoking, and whether a certificate is revoked."""
import datetime

from tests.ejbca import pki
from tests.ejbca.refusals import Refusal

REASONS = ('NOT_REVOKED', 'UNSPECIFIED', 'KEY_COMPROMISE', 'CA_COMPROMISE', 'AFFILIATION_CHANGED',
           'SUPERSEDED', 'CESSATION_OF_OPERATION', 'CERTIFICATE_HOLD', 'REMOVE_FROM_CRL',
           'PRIVILEGES_WITHDRAWN', 'AA_COMPROMISE')
_BACK = ('NOT_REVOKED', 'REMOVE_FROM_CRL')


def revoke(world, request, issuer_dn, number):
    """Revoke a certificate, take a hold back, or say that the key was compromised after all."""
    reason = request.query.get('reason')
    if reason not in REASONS:
        raise Refusal(400, 'There is no such reason.')
    kept = _kept(world, issuer_dn, number)
    date, invalid_since = (_date(request.query.get(name)) for name in ('date', 'invalidity_date'))
    if date is not None:
        raise Refusal(422, 'The certificate profile takes no date of the past.')
    if invalid_since is not None and not world.settings['takes_invalidity_date']:
        raise Refusal(422, 'The certificate profile takes no invalidity date.')
    _require_change(kept, reason)

    def do():
        kept.reason = None if reason in _BACK else reason
        kept.revoked_at = None if reason in _BACK else pki.now()
        kept.invalid_since = invalid_since

    if world.settings['approve_revocations']:
        world.ask_people(f'{issuer_dn} {number}', do)
    do()
    return 200, {**_told(kept, issuer_dn, number), 'revocation_reason': reason,
                 'message': 'It is done.'}


def revocation_status(world, _request, issuer_dn, number):
    """Whether a certificate is revoked."""
    return 200, _told(_kept(world, issuer_dn, number), issuer_dn, number)


def _require_change(kept, reason):
    if reason in _BACK:
        if kept.reason != 'CERTIFICATE_HOLD':
            raise Refusal(409, 'It is not on hold.')
    elif kept.reason not in (None, 'CERTIFICATE_HOLD') and (
            reason != 'KEY_COMPROMISE' or kept.reason == reason):
        raise Refusal(409, 'It is revoked already.')


def _kept(world, issuer_dn, number):
    try:
        wanted = int(number, 16)
    except ValueError:
        raise Refusal(400, 'The serial number is none.') from None
    authority = world.of_subject(issuer_dn)
    for kept in world.certificates:
        if kept.authority is authority and kept.certificate.serial_number == wanted:
            return kept
    raise Refusal(404, 'There is no such certificate.')


def _date(text):
    if text is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(400, 'That is no date.') from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    if moment > datetime.datetime.now(datetime.UTC):
        raise Refusal(400, 'The date is in the future.')
    return moment


def _told(kept, issuer_dn, number):
    told = {'issuer_dn': issuer_dn, 'serial_number': number, 'revoked': kept.reason is not None}
    if kept.reason is not None:
        told['revocation_reason'] = kept.reason
        told['revocation_date'] = f'{kept.revoked_at:%Y-%m-%dT%H:%M:%SZ}'
    if kept.invalid_since is not None:
        told['invalidity_date'] = f'{kept.invalid_since:%Y-%m-%dT%H:%M:%SZ}'
    return told
