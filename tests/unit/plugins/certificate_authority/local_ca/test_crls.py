# SPDX-License-Identifier: Apache-2.0
"""CRLs, read by openssl, pkilint and pyhanko-certvalidator, which share no code with what made them."""
import asyncio
import re
from datetime import datetime, timedelta

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkilint import loader, pkix
from pkilint.pkix import crl as pkilint_crl
from pkilint.pkix import extension as pkilint_extension
from pkilint.pkix import name as pkilint_name
from pkilint.validation import ValidationFindingSeverity
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import RevokedError

from km.interfaces import REVOCATION_REASONS, SignRequest, StoredSecret
from km.plugins.certificate_authority.local_ca import crls
from km.plugins.certificate_authority.local_ca.crls import Entry
from km.plugins.secret_store.schemes import sign
from km.plugins.signer import signer
from tests.unit.plugins.certificate_authority.local_ca.papers import (
    DAY,
    KEY_TYPES,
    NOW,
    SECOND,
    a_leaf,
    an_issuer,
    openssl,
    pem,
)

URL = 'http://pki.example.org/ours-delta.crl'
LEAF, OTHER = 2 ** 150 + 17, 2 ** 150 + 18
EVERY = [Entry(number, NOW - DAY, reason, NOW - 2 * DAY if number % 2 else None)
         for number, reason in enumerate(REVOCATION_REASONS, 1)]


def build(*entries, issuer=None, number=7, this_update=NOW, next_update=NOW + DAY, **more):
    certificate, key = issuer or an_issuer()
    return crls.build(issuer=certificate, key=key, entries=entries, number=number,
                      this_update=this_update, next_update=next_update, **more)


def read(der):
    return x509.load_der_x509_crl(der)


def findings(der):
    """As the command lint_crl of pkilint has them."""
    linter = pkilint_crl.create_pkix_crl_validator_container(
        [pkix.create_attribute_decoder(pkilint_name.ATTRIBUTE_TYPE_MAPPINGS),
         pkix.create_extension_decoder(pkilint_extension.EXTENSION_MAPPINGS)],
        [pkilint_crl.create_issuer_validator_container([]),
         pkilint_crl.create_validity_validator_container([]),
         pkilint_crl.create_extensions_validator_container([])])
    document = loader.RFC5280CertificateListDocumentLoader().load_der_document(der, 'crl')
    return [found.finding.code for result in linter.validate(document.root)
            for found in result.finding_descriptions
            if found.finding.severity <= ValidationFindingSeverity.WARNING]


@pytest.mark.parametrize('key_type', KEY_TYPES)
def test_a_complete_crl_says_what_it_was_told(key_type):
    issuer = an_issuer(key_type, 'Below', above=an_issuer())
    made = read(build(Entry(5, NOW, 'keyCompromise', NOW - DAY), issuer=issuer))
    certificate, key = issuer
    assert made.is_signature_valid(key.public_key())
    assert made.issuer == certificate.subject
    assert (made.last_update_utc.replace(tzinfo=None), made.next_update_utc.replace(tzinfo=None)) == (
        SECOND, SECOND + DAY)
    assert made.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 7
    entry, = made
    assert (entry.serial_number, entry.revocation_date_utc.replace(tzinfo=None)) == (5, SECOND)
    assert [extension.value for extension in entry.extensions] == [
        x509.CRLReason(x509.ReasonFlags.key_compromise), x509.InvalidityDate(SECOND - DAY)]


def test_the_key_of_the_issuer_is_named_as_its_certificate_names_it():
    certificate, _ = an_issuer()
    named = read(build()).extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert named.key_identifier == certificate.extensions.get_extension_for_class(
        x509.SubjectKeyIdentifier).value.digest


def test_the_key_of_an_issuer_without_an_identifier_is_named_by_its_hash():
    leaf, key = a_leaf(5)
    named = read(build(issuer=(leaf, key))).extensions.get_extension_for_class(
        x509.AuthorityKeyIdentifier).value
    assert named == x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def test_no_reason_is_no_extension():
    entry, = read(build(Entry(5, NOW, 'unspecified', None)))
    assert list(entry.extensions) == []


def test_a_reason_that_is_none_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match='boredom'):
        build(Entry(5, NOW, 'boredom', None))


def test_a_complete_crl_forgets_what_was_taken_back_and_a_delta_says_so():
    entries = [Entry(5, NOW, 'removeFromCRL', None), Entry(6, NOW, 'certificateHold', None)]
    assert [entry.serial_number for entry in read(build(*entries))] == [6]
    removed, held = read(build(*entries, base_number=6))
    assert removed.extensions.get_extension_for_class(x509.CRLReason).value.reason == (
        x509.ReasonFlags.remove_from_crl)
    assert held.serial_number == 6


def test_a_delta_names_its_base_critically_and_not_itself():
    made = read(build(base_number=3, freshest_url=URL)).extensions
    indicator = made.get_extension_for_class(x509.DeltaCRLIndicator)
    assert (indicator.value.crl_number, indicator.critical) == (3, True)
    with pytest.raises(x509.ExtensionNotFound):
        made.get_extension_for_class(x509.FreshestCRL)


def test_a_base_says_where_its_deltas_are():
    made = read(build(freshest_url=URL)).extensions
    point, = made.get_extension_for_class(x509.FreshestCRL).value
    assert [name.value for name in point.full_name] == [URL]
    with pytest.raises(x509.ExtensionNotFound):
        made.get_extension_for_class(x509.DeltaCRLIndicator)


@pytest.mark.parametrize('der', [
    build(), build(*EVERY), build(*EVERY, freshest_url=URL), build(*EVERY, base_number=2),
    build(base_number=2),
    build(*EVERY, this_update=datetime(2049, 12, 31), next_update=datetime(2051, 1, 1))],
    ids=['empty', 'full', 'base', 'delta', 'empty delta', 'of 2050'])
def test_pkilint_finds_nothing(der):
    assert findings(der) == []


def test_openssl_reads_every_reason(tmp_path):
    path = pem(tmp_path, 'crl.pem', read(build(*EVERY, base_number=2)))
    said = openssl('crl', '-in', path, '-noout', '-text')
    assert 'X509v3 Delta CRL Indicator: critical' in said
    reasons = re.findall(r'X509v3 CRL Reason Code: \n +(.+)', said)
    assert reasons == ['Key Compromise', 'CA Compromise', 'Affiliation Changed', 'Superseded',
                       'Cessation Of Operation', 'Certificate Hold', 'Remove From CRL',
                       'Privilege Withdrawn', 'AA Compromise']


@pytest.mark.parametrize('key_type', ['rsa', 'p-256', 'p-384', 'p-521', 'ed25519'])
def test_openssl_verifies_the_signature(tmp_path, key_type):
    certificate, _ = an_issuer(key_type)
    path = pem(tmp_path, 'crl.pem', read(build(issuer=an_issuer(key_type))))
    assert 'verify OK' in openssl(
        'crl', '-in', path, '-noout', '-CAfile', pem(tmp_path, 'ca.pem', certificate), '-verify')
    wrong, _ = an_issuer(key_type, number=1)
    assert 'verify OK' not in openssl(
        'crl', '-in', path, '-noout', '-CAfile', pem(tmp_path, 'wrong.pem', wrong), '-verify')


def verified(folder, serial, *der):
    """What openssl says of a leaf, at NOW, given CRLs."""
    certificate, _ = an_issuer()
    leaf, _ = a_leaf(serial)
    crl_files = [part for number, one in enumerate(der)
                 for part in ('-CRLfile', pem(folder, f'{number}.pem', read(one)))]
    return openssl('verify', '-crl_check', '-x509_strict', '-use_deltas', '-extended_crl',
                   '-attime', int((SECOND - datetime(1970, 1, 1)).total_seconds()) + 60,
                   '-CAfile', pem(folder, 'ca.pem', certificate), *crl_files,
                   pem(folder, 'leaf.pem', leaf))


def test_openssl_refuses_whoever_is_on_a_complete_crl(tmp_path):
    der = build(Entry(LEAF, NOW, 'superseded', None))
    assert 'certificate revoked' in verified(tmp_path, LEAF, der)
    assert verified(tmp_path, OTHER, der).endswith(': OK\n')


def test_openssl_needs_a_crl_that_has_not_ended(tmp_path):
    assert 'CRL has expired' in verified(
        tmp_path, LEAF, build(this_update=NOW - 2 * DAY, next_update=NOW - DAY))
    assert 'unable to get certificate CRL' in verified(tmp_path, LEAF)


def test_openssl_refuses_whoever_a_delta_adds(tmp_path):
    base = build(number=7, freshest_url=URL)
    delta = build(Entry(LEAF, NOW, 'keyCompromise', None), number=8, base_number=7)
    assert 'certificate revoked' in verified(tmp_path, LEAF, base, delta)
    assert verified(tmp_path, OTHER, base, delta).endswith(': OK\n')


def test_openssl_takes_back_whoever_a_delta_removes(tmp_path):
    base = build(Entry(LEAF, NOW, 'certificateHold', None), number=7, freshest_url=URL)
    delta = build(Entry(LEAF, NOW, 'removeFromCRL', None), number=8, base_number=7)
    assert 'certificate revoked' in verified(tmp_path, LEAF, base)
    assert verified(tmp_path, LEAF, base, delta).endswith(': OK\n')


def checked_by_pyhanko(serial, der):
    """pyhanko's opinion of a leaf; it does not go on without a CRL."""
    (certificate, _), (leaf, _) = an_issuer(), a_leaf(serial)
    context = ValidationContext(
        trust_roots=[asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))], crls=[der],
        revocation_mode='require', moment=(NOW + timedelta(hours=1)).replace(
            tzinfo=certificate.not_valid_after_utc.tzinfo))
    validator = CertificateValidator(
        asn1_x509.Certificate.load(leaf.public_bytes(Encoding.DER)), validation_context=context)
    return asyncio.run(validator.async_validate_usage(set(), set(), extended_optional=True))


def test_pyhanko_agrees():
    der = build(Entry(LEAF, NOW - DAY, 'keyCompromise', NOW - 2 * DAY))
    assert checked_by_pyhanko(OTHER, der)
    with pytest.raises(RevokedError):
        checked_by_pyhanko(LEAF, der)


class _Store:
    """A store that signs, with keys it keeps."""

    def __init__(self, key):
        self._key = key

    def sign(self, request: SignRequest) -> bytes:
        return sign(self._key, request.scheme, request.data)


@pytest.mark.parametrize('key_type', ['rsa', 'p-256', 'p-384', 'p-521', 'ed25519'])
def test_a_key_may_be_in_a_store(key_type):
    certificate, key = an_issuer(key_type)
    stored = StoredSecret(secret_id='', project_id='', reference={})
    elsewhere = signer(_Store(key), stored, certificate.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    assert read(build(issuer=(certificate, elsewhere))).is_signature_valid(key.public_key())



def test_a_long_crl_is_made_in_a_moment():
    entries = [Entry(2 ** 140 + number, NOW, 'superseded', None) for number in range(20_000)]
    assert len(read(build(*entries))) == 20_000
