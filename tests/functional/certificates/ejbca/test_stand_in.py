# SPDX-License-Identifier: Apache-2.0
"""The stand-in for EJBCA itself: it answers as EJBCA does, as far as that is publicly known.

It is asked here by plain HTTP, and by another program that was made for EJBCA: acme2certifier's handler.
"""
import base64
import datetime
import json
import subprocess
import textwrap
from urllib.parse import quote

import jsonschema
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    load_pem_private_key,
    pkcs7,
    pkcs12,
)

from tests.ejbca import schema
from tests.ejbca.revoking import REASONS
from tests.functional.certificates.ejbca_orders import csr
from tests.functional.certificates.ejbca_server import CA
from tests.functional.servers import HOST

SUBJECT = r'CN=km Sub CA,O=Tests\, Inc. & Söhne #1?,C=SE'
ISSUER = quote(SUBJECT, safe='')
QUERY = {'max_number_of_results': 10, 'criteria': [
    {'property': 'QUERY', 'value': 'ann', 'operation': 'EQUAL'}]}


class Asked:
    """Asks the stand-in as a client with a certificate, and holds each answer against the schema."""

    def __init__(self, server, client='km'):
        self._server = server
        self.session = requests.Session()
        self.session.trust_env, self.session.verify = False, f'{server.home}/ca.pem'
        if client:
            self.session.cert = (f'{server.home}/{client}.pem', f'{server.home}/{client}.key')

    def __call__(self, method, path, body=None, **more):
        answer = self.session.request(method, f'{self._server.url}/v1/{path}', json=body, **more)
        told = answer.json() if 'json' in answer.headers['Content-Type'] and answer.content else None
        if answer.status_code >= 400:
            jsonschema.validate(told, schema.refusal(answer.status_code))
        elif answer.status_code == 202:
            jsonschema.validate(told, schema.WAITING)
        elif told is not None:
            jsonschema.validate(told, schema.ANSWERS[_kind(path), answer.status_code])
        return answer.status_code, told


def _kind(path):
    last = path.partition('?')[0].split('/')
    return '/'.join(last[-2:]) if last[-1] == 'search' else last[-1]


@pytest.fixture
def ask(server):
    return Asked(server)


def enrolment(**more):
    return {'certificate_request': base64.b64encode(more.pop('der', None) or csr()).decode(),
            'certificate_profile_name': 'SERVER', 'end_entity_profile_name': 'Hosts',
            'certificate_authority_name': CA, 'username': 'ann', 'password': 'x', 'include_chain': True,
            **more}


def entity(**more):
    return {'username': 'ann', 'password': 'x', 'subject_dn': 'CN=a.test', 'ca_name': CA,
            'subject_alt_name': 'dNSName=a.test', 'certificate_profile_name': 'SERVER',
            'end_entity_profile_name': 'Hosts', 'token': 'USERGENERATED', **more}


def step(**more):
    return {'certificate_request': base64.b64encode(csr()).decode(), 'include_chain': True,
            'certificate_authority_name': CA, 'username': 'ann', 'password': 'x', **more}


def certificate(told, times=1):
    content = told['certificate']
    for _ in range(times):
        content = base64.b64decode(content)
    return x509.load_der_x509_certificate(content)


def test_it_says_that_it_is_there_to_anybody(server):
    status, told = Asked(server, client=None)('GET', 'certificate/status')
    assert (status, told['status']) == (200, 'OK')


def test_who_shows_no_certificate_hears_403_or_has_no_connection(server):
    assert Asked(server, client=None)('GET', 'ca')[0] == 403
    server.set(want_only=False)
    with pytest.raises(requests.ConnectionError):
        Asked(server, client=None)('GET', 'ca')
    assert Asked(server)('GET', 'ca')[0] == 200


def test_a_certificate_without_a_role_is_refused(server):
    assert Asked(server, client='stranger')('GET', 'ca')[0] == 403


def test_a_protocol_that_is_off_refuses_all_and_unknown_calls_are_not_found(server, ask):
    assert ask('GET', 'certificates')[0] == 404
    assert ask('DELETE', 'ca')[0] == 404
    server.set(protocol_on=False)
    assert ask('GET', 'certificate/status')[0] == 403


def test_it_spells_the_names_of_its_authorities_and_knows_no_other_spelling(ask):
    told = ask('GET', 'ca')[1]['certificate_authorities']
    assert [one['name'] for one in told] == ['km Root CA', 'km Sub CA']
    assert told[1]['subject_dn'] == SUBJECT
    assert ask('GET', f'ca/{ISSUER}/getLatestCrl')[0] == 200
    for other in ('km Sub CA', SUBJECT.lower(), SUBJECT.replace(',O', ', O')):
        assert ask('GET', f'ca/{quote(other, safe="")}/getLatestCrl')[0] == 404


def test_the_certificates_of_an_authority_are_a_file_with_its_issuer_after_it(server, ask):
    answer = ask.session.get(f'{server.url}/v1/ca/{ISSUER}/certificate/download')
    assert answer.headers['Content-Disposition'].startswith('attachment')
    own, root = x509.load_pem_x509_certificates(answer.content)
    own.verify_directly_issued_by(root)
    assert root == server.root


def test_an_enrolment_gives_a_real_certificate_and_its_chain(server, ask):
    status, told = ask('POST', 'certificate/pkcs10enroll', enrolment())
    made = certificate(told)
    above = [x509.load_der_x509_certificate(base64.b64decode(one)) for one in told['certificate_chain']]
    assert status == 201
    made.verify_directly_issued_by(above[0])
    assert above[1] == server.root
    assert int(told['serial_number'], 16) == made.serial_number
    assert made.serial_number.bit_length() > 64
    assert server.tell('entities') == {'ann': 'GENERATED'}


def test_an_enrolment_takes_pem_as_well_and_gives_pkcs7_as_pem_in_base64(ask):
    pem = x509.load_der_x509_csr(csr()).public_bytes(Encoding.PEM).decode()
    _, told = ask('POST', 'certificate/pkcs10enroll', enrolment(
        certificate_request=pem, response_format='PKCS7'))
    assert len(pkcs7.load_pem_pkcs7_certificates(base64.b64decode(told['certificate']))) == 1
    above, = told['certificate_chain']
    assert len(pkcs7.load_pem_pkcs7_certificates(base64.b64decode(above))) == 2


@pytest.mark.parametrize('wrong', [
    {'certificate_authority_name': 'nobody'}, {'certificate_profile_name': 'nothing'},
    {'certificate_profile_name': 'CLIENT'}, {'end_entity_profile_name': 'nothing'},
    {'certificate_request': 'AAAA'}, {'der': csr(names=['a.test'] * 6)},
    {'der': csr(names=[x509.RFC822Name('a@a.test')])}, {'username': ''}, {'include_chain': 'yes'},
    {'unknown': 'field'}, {'response_format': 'JKS'}], ids=str)
def test_whatever_is_wrong_with_an_enrolment_it_is_400(server, ask, wrong):
    assert ask('POST', 'certificate/pkcs10enroll', enrolment(**wrong))[0] == 400
    assert server.certificates == []


def test_a_request_that_its_key_did_not_sign_is_refused(server, ask):
    broken = bytearray(csr())
    broken[-1] ^= 1
    assert ask('POST', 'certificate/pkcs10enroll', enrolment(der=bytes(broken)))[0] == 400
    assert server.certificates == []


def test_an_authority_without_its_key_is_400_in_one_step_and_503_in_two(server, ask):
    server.set(offline=CA)
    assert ask('POST', 'certificate/pkcs10enroll', enrolment())[0] == 400
    assert ask('POST', 'endentity', entity())[0] == 200
    assert ask('POST', 'certificate/certificaterequest', step())[0] == 503


def test_an_end_that_is_written_otherwise_is_passed_over(server, ask):
    wish = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=5)).replace(microsecond=0)

    def ends(text, **more):
        return certificate(ask('POST', 'certificate/pkcs10enroll', enrolment(
            end_time=text, **more))[1]).not_valid_after_utc

    assert ends(f'{wish:%Y-%m-%d %H:%M:%S}') == wish
    assert ends(f'{wish:%Y-%m-%dT%H:%M:%SZ}') > wish
    assert ends(f'{wish:%Y-%m-%d %H:%M:%S}', certificate_profile_name='FIXED') > wish
    server.set(newer=False)
    assert ask('POST', 'certificate/pkcs10enroll', enrolment(
        end_time=f'{wish:%Y-%m-%d %H:%M:%S}'))[0] == 400


def test_an_end_entity_is_overwritten_by_one_step_and_by_no_other(server, ask):
    for _ in range(2):
        assert ask('POST', 'certificate/pkcs10enroll', enrolment())[0] == 201
    assert server.tell('entities') == {'ann': 'GENERATED'}
    assert ask('POST', 'endentity', entity())[0] == 400


def test_two_steps_make_one_certificate(server, ask):
    assert ask('POST', 'endentity', entity()) == (200, None)
    assert ask('POST', 'certificate/certificaterequest', step(password='y'))[0] == 403
    status, told = ask('POST', 'certificate/certificaterequest', step())
    assert status == 201
    assert certificate(told).subject.rfc4514_string() == 'CN=a.test'
    assert ask('POST', 'certificate/certificaterequest', step())[0] == 403
    assert ask('POST', 'certificate/certificaterequest', step(username='bob'))[0] == 404
    assert ask('POST', 'endentity/ann/setstatus', {
        'status': 'NEW', 'password': 'z', 'token': 'USERGENERATED'}) == (200, None)
    assert ask('POST', 'certificate/certificaterequest', step(password='z'))[0] == 201


@pytest.mark.parametrize(('wrong', 'status'), [
    ({'ca_name': 'nobody'}, 404), ({'certificate_profile_name': 'nothing'}, 404),
    ({'certificate_profile_name': 'CLIENT'}, 422), ({'subject_dn': 'CN=a.test,L=Here'}, 422),
    ({'subject_dn': ''}, 400), ({'subject_alt_name': 'dNSName'}, 400), ({'token': 'CARD'}, 400),
    ({'unknown': 'field'}, 400)], ids=str)
def test_what_is_wrong_with_an_end_entity_has_a_status_of_its_own(ask, wrong, status):
    assert ask('POST', 'endentity', entity(**wrong))[0] == status


def test_a_community_edition_has_no_end_entities(server, ask):
    server.set(enterprise=False)
    assert ask('POST', 'endentity', entity())[0] == 404
    assert ask('POST', 'endentity/search', QUERY)[0] == 404
    assert ask('POST', 'certificate/pkcs10enroll', enrolment())[0] == 201


@pytest.mark.parametrize('tells', [True, False])
def test_an_end_entity_waits_until_people_decide(server, ask, tells):
    server.set(approve_entities=True, tells_request_id=tells)
    assert ask('POST', 'certificate/pkcs10enroll', enrolment())[0] == 400
    status, told = ask('POST', 'endentity', entity())
    assert status == 202
    assert ('request_id' in told) is tells
    number = told['link'].split('/')[-2]
    assert '/v1/certificate' not in told['link']
    finalize = f'certificate/{number}/finalize', {'response_format': 'DER', 'password': 'x'}
    assert ask('POST', *finalize)[0] == 202
    assert ask('POST', 'endentity', entity())[0] == 400
    assert ask('POST', 'endentity/search', QUERY)[1]['end_entities'] == []
    server.decide('EXECUTED')
    assert ask('POST', 'endentity/search', QUERY)[1]['end_entities'][0]['status'] == 'NEW'
    assert ask('POST', 'certificate/certificaterequest', step())[0] == 201
    assert ask('POST', *finalize)[0] == 400


@pytest.mark.parametrize('status', ['REJECTED', 'EXPIRED', 'EXECUTIONFAILED'])
def test_an_end_entity_that_is_not_approved_is_never_there(server, ask, status):
    server.set(approve_entities=True)
    ask('POST', 'endentity', entity())
    server.decide(status)
    assert ask('POST', 'certificate/70001/finalize', {'response_format': 'DER'})[0] == 400
    assert ask('POST', 'certificate/70002/finalize', {'response_format': 'DER'})[0] == 400
    assert server.tell('entities') == {}


def test_a_search_gives_certificates_in_base64_of_base64(ask):
    made = certificate(ask('POST', 'certificate/pkcs10enroll', enrolment())[1])
    found, = ask('POST', 'certificate/search', QUERY)[1]['certificates']
    assert certificate(found, times=2) == made
    for criterion in ({'property': 'CA', 'value': CA, 'operation': 'EQUAL'},
                      {'property': 'STATUS', 'value': 'CERT_ACTIVE', 'operation': 'EQUAL'},
                      {'property': 'EXPIRE_DATE', 'value': '2020-01-01', 'operation': 'AFTER'}):
        assert len(ask('POST', 'certificate/search', {
            **QUERY, 'criteria': [criterion]})[1]['certificates']) == 1
    assert ask('POST', 'certificate/search', {**QUERY, 'criteria': [
        {'property': 'NOTHING', 'value': 'x', 'operation': 'EQUAL'}]})[0] == 400
    assert ask('POST', 'certificate/search', {**QUERY, 'max_number_of_results': 0})[0] == 400


@pytest.mark.parametrize('reason', [one for one in REASONS if one not in (
    'NOT_REVOKED', 'REMOVE_FROM_CRL')])
def test_a_certificate_is_revoked_once_for_a_reason(server, ask, reason):
    serial = ask('POST', 'certificate/pkcs10enroll', enrolment())[1]['serial_number']
    where = f'certificate/{ISSUER}/{serial}'
    assert ask('GET', f'{where}/revocationstatus')[1]['revoked'] is False
    assert ask('PUT', f'{where}/revoke?reason={reason}')[1]['revoked'] is True
    assert ask('GET', f'{where}/revocationstatus')[1]['revocation_reason'] == reason
    again = {'CERTIFICATE_HOLD': 200}.get(reason, 409)
    assert ask('PUT', f'{where}/revoke?reason=SUPERSEDED')[0] == again
    compromised = 409 if reason == 'KEY_COMPROMISE' else 200
    assert ask('PUT', f'{where}/revoke?reason=KEY_COMPROMISE')[0] == compromised


@pytest.mark.parametrize(('query', 'status'), [
    ('reason=KEYCOMPROMISE', 400), ('reason=superseded', 400), ('', 400),
    ('reason=SUPERSEDED&date=2999-01-01T00:00:00Z', 400),
    ('reason=SUPERSEDED&date=2020-01-01T00:00:00Z', 422), ('reason=REMOVE_FROM_CRL', 409)])
def test_a_revocation_that_is_asked_for_wrongly_is_none(server, ask, query, status):
    serial = ask('POST', 'certificate/pkcs10enroll', enrolment())[1]['serial_number']
    assert ask('PUT', f'certificate/{ISSUER}/{serial}/revoke?{query}')[0] == status
    assert ask('PUT', f'certificate/{ISSUER}/00FF/revoke?reason=SUPERSEDED')[0] == 404
    assert [kept['reason'] for kept in server.certificates] == [None]


def test_a_hold_is_taken_back(server, ask):
    serial = ask('POST', 'certificate/pkcs10enroll', enrolment())[1]['serial_number']
    where = f'certificate/{ISSUER}/{serial}/revoke?reason='
    assert ask('PUT', where + 'CERTIFICATE_HOLD')[0] == 200
    assert ask('PUT', where + 'REMOVE_FROM_CRL')[0] == 200
    assert server.certificates[0]['reason'] is None


def test_what_is_revoked_is_in_the_crl(server, ask):
    serial = ask('POST', 'certificate/pkcs10enroll', enrolment())[1]['serial_number']
    ask('PUT', f'certificate/{ISSUER}/{serial}/revoke?reason=SUPERSEDED')
    told = ask('GET', f'ca/{ISSUER}/getLatestCrl?deltaCrl=false')[1]
    crl = x509.load_der_x509_crl(base64.b64decode(told['crl']))
    assert crl.get_revoked_certificate_by_serial_number(int(serial, 16))
    assert ask('GET', f'ca/{ISSUER}/getLatestCrl?deltaCrl=true')[0] == 404


#: Run by the python of acme2certifier's environment, with a certificate request in base64.
HANDLER = """
    import json, logging, sys
    from acme2certifier.cahandlers.ejbca_ca_handler import CAhandler
    with CAhandler(False, logging.getLogger()) as handler:
        status = handler._status_get()
        error, bundle, raw, _ = handler.enroll(sys.argv[1])
        revoked = [handler.revoke(raw, 'superseded')[0] for _ in range(2)]
    print(json.dumps({'status': status, 'error': error, 'bundle': bundle, 'revoked': revoked}))
"""
CONFIGURATION = """
    [CAhandler]
    handler_file: ejbca_ca_handler.py
    api_host: https://{host}:{port}
    cert_file: {folder}/km.p12
    cert_passphrase: hidden
    ca_bundle: {home}/ca.pem
    cert_profile_name: SERVER
    ee_profile_name: Hosts
    ca_name: {ca}
    username: bob
    enrollment_code: code
"""


def test_another_client_of_ejbca_enrols_and_revokes(server, folder, acme2certifier_venv):
    key = load_pem_private_key((server.home / 'km.key').read_bytes(), None)
    shown = x509.load_pem_x509_certificate((server.home / 'km.pem').read_bytes())
    (folder / 'km.p12').write_bytes(pkcs12.serialize_key_and_certificates(
        b'km', key, shown, None, BestAvailableEncryption(b'hidden')))
    (folder / 'acme.cfg').write_text(textwrap.dedent(CONFIGURATION).format(
        host=HOST, port=server.port, home=server.home, folder=folder, ca=CA))
    ran = subprocess.run(
        [acme2certifier_venv, '-c', textwrap.dedent(HANDLER), base64.b64encode(csr()).decode()],
        capture_output=True, text=True, timeout=60, cwd=folder,
        env={'ACME_SRV_CONFIGFILE': str(folder / 'acme.cfg')})
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told['error'] is None, ran.stderr
    assert told['status']['status'] == 'OK'
    assert told['revoked'] == [200, 400]
    chain = x509.load_pem_x509_certificates(told['bundle'].encode())
    assert chain[-1] == server.root
    kept, = server.certificates
    assert (kept['username'], kept['reason']) == ('bob', 'SUPERSEDED')
    assert int(kept['serial'], 16) == chain[0].serial_number
