# SPDX-License-Identifier: Apache-2.0
"""What of a certification request gets into a certificate, and what is refused."""
import dataclasses
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from km.interfaces import Rejected
from km.plugins.certificate_authority.local_ca import profiles, requests
from tests.unit.plugins.certificate_authority.local_ca.papers import (
    DAY,
    KEY_TYPES,
    NOW,
    SECOND,
    a_key,
    a_name,
    a_request,
    alternative,
    ip,
    openssl,
)

PROFILES = profiles.load(None)
pytestmark = pytest.mark.filterwarnings('ignore:Attribute')  # odd ones, on purpose
STAPLE = x509.TLSFeature([x509.TLSFeatureType.status_request])
OURS = x509.UnrecognizedExtension(x509.ObjectIdentifier('1.3.6.1.4.1.99999.9'), b'\x05\x00')


def profile(name='server', **changes):
    return dataclasses.replace(PROFILES[name], **changes)


def wanted(csr, under=None, *, now=NOW, not_after=None, issuer_ends=datetime(2039, 1, 1), details=None):
    return requests.wanted(csr, under or profile(), now=now, not_after=not_after,
                           issuer_ends=issuer_ends, details=details or {})


def refusal(csr, under=None, **given):
    with pytest.raises(Rejected) as refused:
        wanted(csr, under, **given)
    return refused.value.sentence


def extension(found, kind):
    return next((value for value, _ in found.extensions if isinstance(value, kind)), None)


def critical(found):
    return {value.oid for value, is_critical in found.extensions if is_critical}


def names(found):
    return [str(name.value) for name in extension(found, x509.SubjectAlternativeName) or ()]


def usage(found):
    value = extension(found, x509.KeyUsage)
    return {name for name in ('digital_signature', 'content_commitment', 'key_encipherment',
                              'data_encipherment', 'key_agreement', 'key_cert_sign', 'crl_sign')
            if getattr(value, name)}


def test_a_server_gets_its_names_its_key_and_what_a_certificate_needs():
    found = wanted(a_request('www.example.org', ip('10.0.0.1'), ip('fd00::1')))
    assert names(found) == ['www.example.org', '10.0.0.1', 'fd00::1']
    assert found.public_key.public_numbers() == a_key().public_key().public_numbers()
    assert found.subject == x509.Name([])
    assert extension(found, x509.BasicConstraints) == x509.BasicConstraints(False, None)
    assert list(extension(found, x509.ExtendedKeyUsage)) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert extension(found, x509.SubjectKeyIdentifier) == x509.SubjectKeyIdentifier.from_public_key(
        a_key().public_key())
    assert usage(found) == {'digital_signature'}
    assert critical(found) == {ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE,
                               ExtensionOID.SUBJECT_ALTERNATIVE_NAME}


def test_the_names_are_critical_only_without_a_subject():
    found = wanted(a_request('www.example.org', subject=a_name('www.example.org')))
    assert ExtensionOID.SUBJECT_ALTERNATIVE_NAME not in critical(found)
    assert found.subject == a_name('www.example.org')


@pytest.mark.parametrize(('name', 'usages'), [
    ('server', [ExtendedKeyUsageOID.SERVER_AUTH]), ('client', [ExtendedKeyUsageOID.CLIENT_AUTH]),
    ('peer', [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])])
def test_what_a_certificate_is_for_is_said_by_the_profile_alone(name, usages):
    asked = [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), True)]
    found = wanted(a_request('a.example.org', extensions=asked), profile(name))
    assert list(extension(found, x509.ExtendedKeyUsage)) == usages


# Keys.

@pytest.mark.parametrize('key_type', KEY_TYPES)
def test_a_key_of_a_type_that_the_profile_has_is_taken(key_type):
    csr = a_request('a.example.org', key=a_key(key_type))
    found = wanted(csr, profile(key_types=(key_type,)))
    assert found.public_key == a_key(key_type).public_key()
    assert usage(found) == {'digital_signature'} | ({'key_encipherment'} if key_type == 'rsa' else set())


@pytest.mark.parametrize('key_type', KEY_TYPES)
def test_a_key_of_another_type_is_refused(key_type):
    others = tuple(other for other in KEY_TYPES if other != key_type)
    said = refusal(a_request('a.example.org', key=a_key(key_type)), profile(key_types=others))
    assert 'type that the profile server does not allow' in said


def test_post_quantum_keys_are_for_those_who_want_them():
    assert 'does not allow' in refusal(a_request('a.example.org', key=a_key('ml-dsa-65')))


def test_a_request_signed_by_another_key_is_refused():
    csr = a_request('a.example.org')
    forged = csr[:-8] + bytes(byte ^ 1 for byte in csr[-8:])
    assert refusal(forged) == 'The signature of the certification request is not that of its key.'


# Authorities.

@pytest.mark.parametrize('asked', [
    x509.BasicConstraints(ca=True, path_length=0), x509.BasicConstraints(ca=True, path_length=None),
    x509.KeyUsage(True, False, False, False, False, True, False, False, False),
    x509.KeyUsage(True, False, False, False, False, False, True, False, False)])
def test_a_request_to_become_an_authority_is_refused(asked):
    # Even where it is listed, by whoever made the profile without its file.
    under = profile(copied_extensions=(asked.oid,))
    said = refusal(a_request('a.example.org', extensions=[(asked, True)]), under)
    assert 'for a certificate of an authority (CA:TRUE' in said


def test_constraints_that_ask_for_nothing_do_no_harm():
    found = wanted(a_request('a.example.org', extensions=[(x509.BasicConstraints(False, None), True)]))
    assert [type(value) for value, _ in found.extensions].count(x509.BasicConstraints) == 1


def test_extensions_that_are_not_listed_are_left_out():
    asked = [(OURS, True), (STAPLE, False), (x509.OCSPNoCheck(), False), (x509.NameConstraints(
        [x509.DNSName('org')], None), True)]
    found = wanted(a_request('a.example.org', extensions=asked))
    assert {value.oid for value, _ in found.extensions} == {
        ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME, ExtensionOID.SUBJECT_KEY_IDENTIFIER}


def test_extensions_that_are_listed_are_copied_as_they_are():
    found = wanted(a_request('a.example.org', extensions=[(OURS, True), (STAPLE, False)]),
                   profile(copied_extensions=(OURS.oid,)))
    assert (OURS, True) in found.extensions
    assert extension(found, x509.TLSFeature) is None


def test_must_staple_is_there_once():
    under = profile(must_staple=True, copied_extensions=(STAPLE.oid,))
    found = wanted(a_request('a.example.org', extensions=[(STAPLE, False)]), under)
    assert [value for value, _ in found.extensions if value.oid == STAPLE.oid] == [STAPLE]


def test_policies_and_a_short_life_are_said_in_the_certificate():
    policy = x509.ObjectIdentifier('1.3.6.1.4.1.99999.1')
    found = wanted(a_request('a.example.org'), profile(policies=(policy,), short_lived=True))
    assert [known.policy_identifier for known in extension(found, x509.CertificatePolicies)] == [policy]
    assert (x509.UnrecognizedExtension(x509.ObjectIdentifier('2.5.29.56'), b'\x05\x00'),
            False) in found.extensions


def test_time_stamping_is_critical():
    under = profile('client', extended_key_usage=(ExtendedKeyUsageOID.TIME_STAMPING,))
    assert ExtensionOID.EXTENDED_KEY_USAGE in critical(wanted(a_request(subject=a_name('tsa')), under))


# Life.

def test_it_begins_a_little_earlier_and_lives_as_long_as_the_profile_says():
    found = wanted(a_request('a.example.org'))
    assert found.not_before == SECOND - timedelta(minutes=1)
    assert found.not_after == SECOND + 90 * DAY
    assert found.not_after.tzinfo is None


@pytest.mark.parametrize(('asked', 'ends'), [(10 * DAY, 10 * DAY), (200 * DAY, 200 * DAY),
                                             (4000 * DAY, 397 * DAY)])
def test_it_ends_when_it_shall_at_the_latest(asked, ends):
    assert wanted(a_request('a.example.org'), not_after=NOW + asked).not_after == SECOND + ends


@pytest.mark.parametrize('not_after', [NOW, NOW - DAY, datetime.min])
def test_one_that_would_be_over_is_refused(not_after):
    assert 'would have ended' in refusal(a_request('a.example.org'), not_after=not_after)


@pytest.mark.parametrize(('rule', 'ends'), [('cut', 30 * DAY), ('allow', 90 * DAY)])
def test_at_the_end_of_the_issuer_it_is_cut_or_not(rule, ends):
    found = wanted(a_request('a.example.org'), profile(issuer_ends=rule), issuer_ends=SECOND + 30 * DAY)
    assert found.not_after == SECOND + ends


def test_at_the_end_of_the_issuer_it_may_be_refused():
    said = refusal(a_request('a.example.org'), profile(issuer_ends='refuse'),
                   issuer_ends=SECOND + 30 * DAY)
    assert said == ('The certificate would end after that of its authority, which ends at '
                    '2030-01-31T12:00:00Z.')
    assert wanted(a_request('a.example.org'), profile(issuer_ends='refuse'),
                  issuer_ends=SECOND + 90 * DAY).not_after == SECOND + 90 * DAY


@pytest.mark.parametrize('rule', ['refuse', 'cut', 'allow'])
def test_an_issuer_that_has_ended_issues_nothing(rule):
    said = refusal(a_request('a.example.org'), profile(issuer_ends=rule), issuer_ends=SECOND)
    assert said == 'The certificate of the authority has ended.'


def test_a_list_of_no_names_is_none():
    csr = a_request(subject=a_name('a.org'), extensions=[(x509.SubjectAlternativeName([]), True)])
    assert names(wanted(csr)) == ['a.org']
    assert extension(wanted(csr, profile('client')), x509.SubjectAlternativeName) is None


# Requests that openssl made.

MAKES = {
    'rsa': ['-newkey', 'rsa:2048'],
    'rsa-pss': ['-newkey', 'rsa-pss', '-pkeyopt', 'rsa_keygen_bits:2048'],
    'ec': ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384'], 'ed25519': ['-newkey', 'ed25519'],
    'explicit': ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-pkeyopt',
                 'ec_param_enc:explicit'],
    'ed448': ['-newkey', 'ed448'], 'sm2': ['-newkey', 'sm2']}


def made_by_openssl(folder, kind):
    path = folder / 'request.der'
    said = openssl('req', '-new', '-nodes', *MAKES[kind], '-keyout', folder / 'key.pem', '-out', path,
                   '-outform', 'DER', '-subj', '/O=Example/CN=a.example.org', '-addext',
                   'subjectAltName=DNS:a.example.org', '-addext', 'basicConstraints=critical,CA:FALSE')
    assert path.exists(), said
    return path.read_bytes()


@pytest.mark.parametrize('kind', ['rsa', 'rsa-pss', 'ec', 'ed25519', 'explicit'])
def test_a_request_that_openssl_made_is_granted(tmp_path, kind):
    found = wanted(made_by_openssl(tmp_path, kind))
    assert names(found) == ['a.example.org']
    assert found.subject == a_name('a.example.org')


@pytest.mark.parametrize('kind', ['ed448', 'sm2'])
def test_a_key_that_openssl_can_make_and_few_can_read_is_refused(tmp_path, kind):
    refusal(made_by_openssl(tmp_path, kind))


# What else.

def test_details_that_nobody_knows_are_refused_and_not_overlooked():
    assert "no use for 'colour'" in refusal(a_request('a.example.org'), details={'colour': 'red'})


def test_a_request_for_nobody_is_refused():
    assert 'names nothing' in refusal(a_request(), profile('client'))


def test_a_request_that_is_too_long_is_refused_unread():
    assert refusal(b'0' * (64 * 1024 + 1)) == 'The certification request is longer than 65536 bytes.'


@pytest.mark.parametrize(
    'csr', [b'', b'\x30', b'\x30\x80', b'\x30\x84\xff\xff\xff\xff', b'\x30\x03\x02\x01'])
def test_garbage_is_refused(csr):
    assert 'cannot be read' in refusal(csr)


CSRS = [a_request('www.example.org', ip('10.0.0.1'), subject=a_name('www.example.org', O='Example'),
                  extensions=[(OURS, False)], key=a_key(kind)) for kind in ('rsa', 'p-256', 'ed25519')]
FAST = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@FAST
@given(st.sampled_from(CSRS), st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1,
                                       max_size=4), st.integers(0, 20))
def test_a_request_with_bytes_changed_is_refused_and_nothing_worse(csr, changes, cut):
    changed = bytearray(csr)
    for place, byte in changes:
        changed[place % len(changed)] = byte
    changed = bytes(changed[:len(changed) - cut])
    if changed != csr:
        with pytest.raises(Rejected):
            wanted(changed)


@FAST
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_and_nothing_worse(csr):
    with pytest.raises(Rejected):
        wanted(csr)


ODD = st.text(max_size=80) | st.sampled_from(['*', '*.*', '.', '\0', 'xn--', 'a' * 64, '\u202e', '-'])


@FAST
@given(subject=st.lists(st.tuples(st.sampled_from(
    [NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.COUNTRY_NAME, NameOID.DOMAIN_COMPONENT,
     NameOID.SERIAL_NUMBER]), ODD), max_size=3),
       rule=st.sampled_from(['san', 'csr', 'first_san', 'none']),
       asked=st.lists(st.text('abcxn-.*\0_ 01', max_size=40), max_size=3))
def test_what_is_taken_of_odd_names_can_be_in_a_certificate(subject, rule, asked):
    try:
        csr = a_request(*asked, subject=x509.Name([
            x509.NameAttribute(oid, value, _validate=False) for oid, value in subject]))
    except (ValueError, UnicodeError):  # no request can say that
        return
    under = profile('client', common_name=rule, subject_from_csr=('C', 'O', 'DC', 'serialNumber'))
    try:
        found = wanted(csr, under)
    except Rejected:
        return
    assert all(str(attribute.value).isprintable() for attribute in found.subject)
    for name in names(found):
        assert set(name) <= set('abcdefghijklmnopqrstuvwxyz0123456789-.:*')
    x509.load_der_x509_csr(a_request(subject=found.subject))
    assert names(found) == [] or alternative(*names(found))
