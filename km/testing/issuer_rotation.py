# SPDX-License-Identifier: Apache-2.0
"""What km asks of a certificate authority whose issuing keys can be replaced, as tests.

Subclass it beside ``CertificateAuthorityContract``, with the same fixtures.
"""
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from km.interfaces import NotFound, NotSupported, Rejected, StatusPublisher
from km.testing.certificate_orders import (
    OrderFixtures,
    new_order,
    obtained,
    obtained_once,
    require_chain,
    revoke_request,
    spki,
)
from km.testing.issuers import certify, new_issuer


class IssuerRotationContract(OrderFixtures):
    """Subclasses give a fixture ``authority``: an open one that is an ``IssuerRotation`` too. Where it
    can be set up with a root of its own or with one elsewhere, have a subclass for each."""

    @pytest.fixture
    def authority(self) -> Iterator[Any]:
        raise NotImplementedError('give your contract suite a fixture named authority')

    def test_after_a_rotation_every_process_issues_by_the_new_key(
            self, authority, names, settle, another):
        open_before, usual = another(), authority.authorities()[0].name
        before, ask_again = obtained_once(authority, new_order(authority, names), settle)
        said = _rotated(authority, usual)
        assert said and '\n' not in said
        for asked in (authority, open_before, another()):
            after = obtained(asked, new_order(asked, names), settle)
            require_chain(after)
            assert _issuing_key(after) != _issuing_key(before)
            assert asked.authorities()[0].certificate == after.chain[0]
        again = ask_again(authority)
        assert (again.certificate, again.chain) == (before.certificate, before.chain)

    def test_what_the_key_before_signed_is_revoked_and_told_of_by_it(self, authority, names, settle):
        order = new_order(authority, names)
        before = obtained(authority, order, settle)
        _rotated(authority, order.authority)
        for _ in range(2):
            authority.revoke(revoke_request(order, before))
        if isinstance(authority, StatusPublisher):
            published = authority.publish()
            name = next(name for name in published
                        if authority.issuer_certificate(name) == before.chain[0])
            assert x509.load_der_x509_crl(published[name].content).is_signature_valid(
                x509.load_der_x509_certificate(before.chain[0]).public_key())  # type: ignore[arg-type]

    def test_a_request_is_for_the_same_key_until_it_is_installed(self, authority, another):
        asked = [_requested(one) for one in (authority, authority, another())]
        assert all(csr.is_signature_valid for csr in asked)
        assert len({spki(csr.public_key()) for csr in asked}) == 1

    def test_what_an_authority_elsewhere_signed_is_installed_and_issues(
            self, authority, names, settle, another):
        usual = authority.authorities()[0].name
        csr = _requested(authority)
        root = new_issuer('a root elsewhere', above=None)
        certificate = certify(csr, by=root)
        said = authority.install_issuer(usual, certificate, (root.der,))
        assert said and '\n' not in said
        for asked in (authority, another()):
            issued = obtained(asked, new_order(asked, names), settle)
            require_chain(issued)
            assert issued.chain == (certificate, root.der)
        assert spki(_requested(authority).public_key()) != spki(csr.public_key())

    def test_what_is_not_for_its_key_or_not_of_an_authority_is_not_installed(
            self, authority, names, settle):
        usual = authority.authorities()[0].name
        before = obtained(authority, new_order(authority, names), settle)
        csr = _requested(authority)
        root = new_issuer('a root elsewhere', above=None)
        other = x509.CertificateSigningRequestBuilder().subject_name(csr.subject).sign(
            ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
        for certificate in (b'', b'garbage', root.der, certify(other, by=root),
                            certify(csr, by=root, able=False)):
            with pytest.raises(Rejected) as failure:
                authority.install_issuer(usual, certificate, (root.der,))
            assert failure.value.sentence.isprintable()
        after = obtained(authority, new_order(authority, names), settle)
        assert after.chain == before.chain

    def test_an_authority_that_is_not_there_has_no_request(self, authority):
        with pytest.raises(NotFound):
            authority.issuer_request('no such authority')


def _rotated(authority: Any, usual: str) -> str:
    """What it says of a new key, which it certified itself, or else an authority elsewhere."""
    try:
        return authority.rotate_issuer(usual)
    except NotSupported:
        root = new_issuer('a root elsewhere', above=None)
        csr = x509.load_der_x509_csr(authority.issuer_request(usual))
        return authority.install_issuer(usual, certify(csr, by=root), (root.der,))


def _requested(authority: Any) -> x509.CertificateSigningRequest:
    """Its request; the test is skipped if its certificates come from no authority elsewhere."""
    try:
        return x509.load_der_x509_csr(authority.issuer_request(authority.authorities()[0].name))
    except NotSupported:
        pytest.skip('it has a root of its own')


def _issuing_key(issued: Any) -> bytes:
    return spki(x509.load_der_x509_certificate(issued.chain[0]).public_key())
