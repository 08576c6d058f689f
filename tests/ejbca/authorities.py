# SPDX-License-Identifier: Apache-2.0
"""What the stand-in tells of itself and of its authorities."""
import base64

from cryptography.hazmat.primitives.serialization import Encoding

from tests.ejbca.refusals import Refusal


def status(world, _request):
    """That it is there."""
    edition = 'Enterprise' if world.settings['enterprise'] else 'Community'
    return 200, {'status': 'OK', 'version': '1.0', 'revision': f'Stand-in for EJBCA {edition}'}


def listed(world, _request):
    """The authorities that whoever asks may see."""
    return 200, {'certificate_authorities': [
        {'id': authority.number, 'name': authority.name, 'subject_dn': authority.subject_dn,
         'issuer_dn': authority.issuer_dn,
         'expiration_date': f'{authority.certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}'}
        for authority in world.authorities.values()
        if authority.name in world.settings['shown_authorities']]}


def download(world, _request, subject_dn):
    """The certificates of an authority, PEM, as a file."""
    return 200, b''.join(one.public_bytes(Encoding.PEM) for one in world.of_subject(subject_dn).chain)


def latest_crl(world, request, issuer_dn):
    """The complete CRL of an authority; it has no delta."""
    if request.query.get('deltaCrl', 'false') != 'false':
        raise Refusal(404, 'There is no such CRL.')
    authority = world.of_subject(issuer_dn)
    crl = authority.crl((kept.certificate.serial_number, kept.revoked_at)
                        for kept in world.certificates
                        if kept.authority is authority and kept.reason)
    return 200, {'crl': base64.b64encode(crl.public_bytes(Encoding.DER)).decode(),
                 'response_format': 'DER'}
