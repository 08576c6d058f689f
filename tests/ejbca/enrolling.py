# SPDX-License-Identifier: Apache-2.0
"""Certificates for requests: in one call, in two, or after people approved."""
import base64
import binascii
import datetime
import secrets

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID

from tests.ejbca import bodies, pki
from tests.ejbca.profiles import require_key
from tests.ejbca.refusals import Refusal, Waiting
from tests.ejbca.world import Entity, Kept

_FORMATS = ('DER', 'PKCS7')


def pkcs10enroll(world, request):
    """Make an end entity, or another of one that is there, and its certificate. Whatever goes wrong, it
    is status 400: an authority without its key as well."""
    told = bodies.read(request.content, bodies.enrol(world.settings['newer']))
    try:
        return _enrolled(world, told)
    except Refusal as refusal:
        raise Refusal(400, refusal.message) from None


def _enrolled(world, told):
    text, certificate_profile, profile, authority, username = bodies.require(
        told, 'certificate_request', 'certificate_profile_name', 'end_entity_profile_name',
        'certificate_authority_name', 'username')
    wanted = told.get('response_format', 'DER').upper()
    if wanted not in _FORMATS:
        raise Refusal(400, 'There is no such response format.')
    issuer = world.authority(authority)
    csr = _request(text)
    alternatives = _alternatives(csr)
    found, allowed = world.profiles(certificate_profile, profile, issuer)
    allowed.require(csr.subject, alternatives)
    if world.settings['approve_entities']:
        raise Refusal(400, 'This has to be approved, and such requests cannot be.')
    entity = Entity(username, told.get('password') or secrets.token_hex(8), csr.subject, alternatives,
                    issuer, found, allowed, ends=read_time(told.get('end_time')))
    made = _issue(world, entity, csr)
    world.entities[username] = entity
    return 201, _answer(made, wanted, chain=told.get('include_chain', False))


def certificaterequest(world, request):
    """Make the certificate of an end entity that is there."""
    told = bodies.read(request.content, bodies.CERTIFICATE_REQUEST)
    text, authority, username = bodies.require(
        told, 'certificate_request', 'certificate_authority_name', 'username')
    world.authority(authority, status=400)
    entity = world.entities.get(username)
    if entity is None:
        raise Refusal(404, f'There is no end entity {username}.')
    if entity.status != 'NEW' or told.get('password') != entity.password:
        raise Refusal(403, 'The end entity has another status, or another password.')
    if entity.authority.name != authority:
        raise Refusal(400, 'The end entity is of another CA.')
    return 201, _answer(_issue(world, entity, _request(text)), 'DER',
                        chain=told.get('include_chain', False))


def finalize(world, request, number):
    """Make the certificate of what people approved, if the request that they approved had a CSR. Those
    for end entities have none, so this only tells how such a request stands."""
    told = bodies.read(request.content, bodies.FINALIZE)
    approval = world.approvals.get(int(number)) if number.isdecimal() else None
    if approval is None:
        raise Refusal(400, 'There is no such request.')
    if told.get('response_format') not in ('DER', 'PEM', 'P12', 'JKS', 'BCFKS'):
        raise Refusal(400, 'There is no such response format.')
    if approval.status == 'WAITING':
        raise Waiting(approval.number)
    if approval.status != 'EXECUTED':
        raise Refusal(400, f'The request is {approval.status}.')
    entity = world.entities.get(approval.about)
    if entity is None:
        raise Refusal(404, 'The end entity is not there.')
    if entity.status == 'GENERATED':
        raise Refusal(400, 'This has been finalized already.')
    raise Refusal(400, 'The end entity has no request.')


def read_time(text):
    """When a certificate shall end. A text that is not as it should be is passed over."""
    try:
        return datetime.datetime.strptime(text or '', '%Y-%m-%d %H:%M:%S').replace(tzinfo=datetime.UTC)
    except ValueError:
        return None


def _request(text):
    """A PKCS#10, PEM or bare base64, that is signed by its own key."""
    try:
        if '-----BEGIN' in text:
            csr = x509.load_pem_x509_csr(text.encode())
        else:
            csr = x509.load_der_x509_csr(base64.b64decode(text, validate=True))
        good = csr.is_signature_valid
    except (ValueError, binascii.Error):
        good = False
    if not good:
        raise Refusal(400, 'That is no good request.')
    return csr


def _alternatives(csr):
    try:
        return list(csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def _issue(world, entity, csr):
    key = csr.public_key()
    require_key(entity.certificate_profile, key)
    if entity.authority.offline:
        raise Refusal(503, f'The CA {entity.authority.name} is offline.')
    others = [kept.certificate for kept in world.certificates if kept.username != entity.username]
    if ((world.settings['unique_keys'] and any(one.public_key() == key for one in others))
            or (world.settings['unique_subjects'] and any(
                one.subject == entity.subject for one in others))):
        raise Refusal(409, 'There is a certificate for this key or this subject already.')
    subject, alternatives, wrong = entity.subject, entity.alternatives, world.settings['misissue']
    if wrong == 'key':
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
    elif wrong == 'name':
        alternatives = [*alternatives, x509.DNSName('bank.test')]
    elif wrong == 'common_name':
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'bank.test')])
    ends = entity.ends if entity.certificate_profile.may_end_otherwise else None
    if ends and not pki.now() < ends <= entity.authority.certificate.not_valid_after_utc:
        raise Refusal(422, 'The certificate cannot end then.')
    certificate = entity.authority.issue(
        subject, alternatives, key, profile=entity.certificate_profile, ends=ends)
    kept = Kept(certificate, entity.username, entity.authority, entity.certificate_profile,
                entity.profile)
    world.certificates.append(kept)
    entity.status = 'GENERATED'
    return kept


def _answer(made, wanted, *, chain):
    above = made.authority.chain
    if wanted == 'PKCS7':
        told = {'certificate': _once(pkcs7.serialize_certificates([made.certificate], Encoding.PEM))}
        if chain:
            told['certificate_chain'] = [_once(pkcs7.serialize_certificates(above, Encoding.PEM))]
    else:
        told = {'certificate': _once(made.certificate.public_bytes(Encoding.DER))}
        if chain:
            told['certificate_chain'] = [_once(one.public_bytes(Encoding.DER)) for one in above]
    return {**told, 'serial_number': serial(made.certificate), 'response_format': wanted}


def _once(content):
    return base64.b64encode(content).decode()


def serial(certificate):
    """A serial number as EJBCA writes it."""
    return certificate.serial_number.to_bytes(
        (certificate.serial_number.bit_length() + 7) // 8, 'big').hex().upper()
