# SPDX-License-Identifier: Apache-2.0
"""The Local CA as km asks it: who gets what, and what it says of itself."""
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import Encoding

from km.interfaces import NotSupported, Rejected, Unavailable
from km.plugins.certificate_authority.local_ca import linting
from tests.unit.plugins.certificate_authority.local_ca.opened import (
    DAY,
    NOW,
    a_subordinate,
    an_order,
    extension,
    issuer_id,
    loaded,
)


def test_an_authority_of_a_project_issues_for_nobody_else(ca):
    made = ca.make_subordinate(a_subordinate())
    order = an_order('a.alpha.example.org', authority=made.name, project_id='beta')
    with pytest.raises(Rejected, match='another project'):
        ca.issue(order)


@pytest.mark.parametrize('authority', ['root', 'nobody', 'ocsp', ''])
def test_who_is_no_issuing_authority_issues_nothing(ca, authority):
    with pytest.raises(Rejected):
        ca.issue(an_order(authority=authority))


def test_a_responder_issues_nothing(ca):
    authority = f'ocsp:{issuer_id(ca)}'
    ca._responding._make(ca._signers.current('issuing'), after=None)
    with pytest.raises(Rejected):
        ca.issue(an_order(authority=authority))


def test_a_profile_is_the_usual_one_or_one_of_those_there_are(opens):
    ca = opens(profile='client')
    with pytest.raises(NotSupported, match='there are: client, peer, server'):
        ca.issue(an_order(profile='other'))
    usage = extension(ca.issue(an_order()).certificate, x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]
    usage = extension(ca.issue(an_order(profile='server')).certificate, x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.ExtendedKeyUsageOID.SERVER_AUTH]


def test_what_a_linter_minds_is_not_signed(opens, monkeypatch):
    monkeypatch.setattr(linting, 'ALLOWED', frozenset())
    order = an_order('*.example.org')  # nothing that a profile grants is minded otherwise
    with pytest.raises(Rejected, match='RFC 5280'):
        opens(lint=True).issue(order)
    assert opens(lint=False).issue(order).certificate


def test_a_post_quantum_key_has_a_certificate_if_its_profile_says_so(folder, opens):
    (folder / 'profiles.toml').write_text('[server]\nkey_types = ["ml-dsa-65"]\n')
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(
        x509.SubjectAlternativeName([x509.DNSName('a.example.org')]), critical=False).sign(
        mldsa.MLDSA65PrivateKey.generate(), None).public_bytes(Encoding.DER)
    with pytest.raises(Rejected):
        opens().issue(an_order(csr=csr))
    issued = opens(profiles=str(folder / 'profiles.toml'), lint=True).issue(an_order(csr=csr))
    assert isinstance(loaded(issued.certificate).public_key(), mldsa.MLDSA65PublicKey)
    loaded(issued.certificate).verify_directly_issued_by(loaded(issued.chain[0]))


def test_check_signs_with_every_key_and_says_for_how_long(ca, opens):
    assert ca.check() == 'issuing: 1825 days left; root: 7300 days left'
    ca.make_subordinate(a_subordinate())
    assert opens().check() == ('issuing: 1825 days left; root: 7300 days left; '
                               '1 of projects: 730 days left, or more')
    ca.time = NOW + 25 * DAY
    assert 'issuing: 1800 days left' in ca.check()
    ca.key_stores['soft'].sign = lambda _: bytes(70)
    with pytest.raises(Unavailable, match='signs wrongly'):
        ca.check()


def test_what_ends_with_its_authority_says_so(opens):
    ca = opens(issuing_years=1)
    ca.time = NOW + 300 * DAY
    assert loaded(ca.issue(an_order(not_after=NOW + 390 * DAY)).certificate).not_valid_after_utc.replace(
        tzinfo=None) == NOW + 365 * DAY
    ca.time = NOW + 366 * DAY
    for work in (lambda: ca.issue(an_order()), lambda: ca.make_subordinate(a_subordinate())):
        with pytest.raises(Rejected, match='has ended'):
            work()
    ca.rotate_issuer('issuing')
    assert ca.issue(an_order()).certificate


def test_under_a_root_that_has_ended_nobody_is_put_in_charge(opens):
    ca = opens(root_years=1)
    ca.time = NOW + 366 * DAY
    with pytest.raises(Rejected, match='has ended'):
        ca.rotate_issuer('issuing')
    ca.rotate_issuer('root')
    ca.rotate_issuer('issuing')
    assert ca.issue(an_order()).certificate
