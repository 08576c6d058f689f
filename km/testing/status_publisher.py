# SPDX-License-Identifier: Apache-2.0
"""What km asks of a certificate authority that says itself what it has revoked, as tests.

Subclass it beside ``CertificateAuthorityContract``, with the same fixtures.
"""
import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from km.interfaces import (
    CrlRequest,
    Issued,
    NotFound,
    NotSupported,
    OcspRequest,
    Rejected,
)
from km.testing.certificate_orders import (
    OrderFixtures,
    loaded,
    new_order,
    obtained,
    revoke_request,
)
from km.testing.issuers import new_issuer

_DIGESTS = [hashes.SHA1(), hashes.SHA256()]  # noqa: S303 -- OpenSSL and others ask with SHA-1
_UNSUCCESSFUL = {ocsp.OCSPResponseStatus.MALFORMED_REQUEST, ocsp.OCSPResponseStatus.UNAUTHORIZED}


class StatusPublisherContract(OrderFixtures):
    """Subclasses give a fixture ``authority``: an open one that is a ``StatusPublisher`` too, and whose
    usual certificates are told of."""

    @pytest.fixture
    def authority(self) -> Iterator[Any]:
        raise NotImplementedError('give your contract suite a fixture named authority')

    def test_every_issuer_has_a_crl_that_its_key_signed_and_that_holds(self, authority, names, settle):
        issued = obtained(authority, new_order(authority, names), settle)
        published = authority.publish()
        assert _issuer_of(authority, issued) in published
        for name, crl in published.items():
            issuer = x509.load_der_x509_certificate(authority.issuer_certificate(name))
            read = x509.load_der_x509_crl(crl.content)
            assert read.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
            assert read.issuer == issuer.subject
            assert read.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == crl.number
            assert crl.this_update <= datetime.now(UTC).replace(tzinfo=None) < crl.next_update
            assert read.next_update_utc == crl.next_update.replace(tzinfo=UTC)

    def test_what_is_revoked_is_in_the_next_crl_which_has_a_higher_number(
            self, authority, names, settle, another):
        order, other = new_order(authority, names), new_order(authority, names)
        issued, good = (obtained(authority, one, settle) for one in (order, other))
        issuer = _issuer_of(authority, issued)
        before = authority.crl(CrlRequest(issuer=issuer))
        assert _entry(authority, issued) is None
        authority.revoke(revoke_request(order, issued, reason='keyCompromise'))
        for asked in (authority, another()):
            entry = _entry(asked, issued)
            assert entry is not None
            reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
            assert reason == x509.ReasonFlags.key_compromise
            assert _entry(asked, good) is None
        after = _newest(authority, issuer)
        assert max(crl.number for crl in after) > before.number

    def test_what_is_on_hold_is_given_free_again(self, authority, names, settle):
        order = new_order(authority, names)
        issued = obtained(authority, order, settle)
        try:
            authority.revoke(revoke_request(order, issued, reason='certificateHold'))
        except (Rejected, NotSupported):
            return
        assert _entry(authority, issued) is not None
        for _ in range(2):
            authority.revoke(revoke_request(order, issued, reason='removeFromCRL'))
        assert _entry(authority, issued) is None
        assert _asked(authority, issued).certificate_status is ocsp.OCSPCertStatus.GOOD

    def test_a_delta_is_of_a_complete_one_that_was_published(self, authority, names, settle):
        issued = obtained(authority, new_order(authority, names), settle)
        issuer = _issuer_of(authority, issued)
        complete = authority.crl(CrlRequest(issuer=issuer))
        try:
            delta = authority.crl(CrlRequest(issuer=issuer, delta=True))
        except NotFound:
            return
        read = x509.load_der_x509_crl(delta.content)
        base = read.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
        assert base.critical
        assert base.value.crl_number <= complete.number
        assert delta.number >= base.value.crl_number
        assert read.is_signature_valid(
            loaded(issued)[1][0].public_key())  # type: ignore[arg-type]

    @pytest.mark.parametrize('digest', _DIGESTS, ids=lambda digest: digest.name)
    def test_ocsp_tells_of_a_certificate_before_and_after_it_is_revoked(
            self, authority, names, settle, another, digest):
        order = new_order(authority, names)
        issued = obtained(authority, order, settle)
        assert _asked(authority, issued, digest).certificate_status is ocsp.OCSPCertStatus.GOOD
        authority.revoke(revoke_request(order, issued, reason='keyCompromise'))
        for asked in (authority, another()):
            answer = _asked(asked, issued, digest)
            assert answer.certificate_status is ocsp.OCSPCertStatus.REVOKED
            assert answer.revocation_reason in (None, x509.ReasonFlags.key_compromise)

    def test_a_nonce_comes_back_or_is_left_out(self, authority, names, settle):
        issued = obtained(authority, new_order(authority, names), settle)
        answer = _asked(authority, issued, nonce=b'0123456789abcdef0123456789abcdef')
        told = [one.value.nonce for one in answer.extensions if isinstance(one.value, x509.OCSPNonce)]
        assert told in ([], [b'0123456789abcdef0123456789abcdef'])

    def test_ocsp_has_an_answer_for_whatever_strangers_send(self, authority, names, settle):
        issued = obtained(authority, new_order(authority, names), settle)
        issuer = _issuer_of(authority, issued)
        stranger = new_issuer('a stranger', above=None)
        foreign = ocsp.OCSPRequestBuilder().add_certificate(
            stranger.certificate, stranger.certificate, _DIGESTS[1]).build().public_bytes(Encoding.DER)
        for content in (b'', b'garbage', b'\x30' * 5000, foreign[:-1], foreign):
            answer = authority.ocsp(OcspRequest(issuer=issuer, content=content))
            read = ocsp.load_der_ocsp_response(answer.content)
            if read.response_status not in _UNSUCCESSFUL:
                assert content == foreign
                assert read.certificate_status is ocsp.OCSPCertStatus.UNKNOWN

    def test_an_issuer_that_is_not_there_has_nothing(self, authority):
        for issuer in ('no such issuer', '', '../secret', 'ü', '0' * 36):
            for ask in (lambda name: authority.crl(CrlRequest(issuer=name)),
                        lambda name: authority.crl(CrlRequest(issuer=name, delta=True)),
                        lambda name: authority.ocsp(OcspRequest(issuer=name, content=b'')),
                        authority.issuer_certificate):
                with pytest.raises(NotFound):
                    ask(issuer)


def _issuer_of(authority: Any, issued: Issued) -> str:
    """The plugin's name of who issued."""
    return next(name for name in authority.publish()
                if authority.issuer_certificate(name) == issued.chain[0])


def _newest(authority: Any, issuer: str) -> list[Any]:
    """The newest complete CRL, and the newest delta after it, if it makes such."""
    authority.publish()
    found = [authority.crl(CrlRequest(issuer=issuer))]
    with contextlib.suppress(NotFound):
        found.append(authority.crl(CrlRequest(issuer=issuer, delta=True)))
    return found


def _entry(authority: Any, issued: Issued) -> x509.RevokedCertificate | None:
    """What the newest CRLs say of a certificate that is revoked."""
    serial = loaded(issued)[0].serial_number
    told = None
    for crl in _newest(authority, _issuer_of(authority, issued)):
        entry = x509.load_der_x509_crl(crl.content).get_revoked_certificate_by_serial_number(serial)
        told = entry or told
    if told is not None and any(
            isinstance(one.value, x509.CRLReason)
            and one.value.reason is x509.ReasonFlags.remove_from_crl for one in told.extensions):
        return None
    return told


def _asked(authority: Any, issued: Issued, digest: Any = _DIGESTS[1], *,
           nonce: bytes | None = None) -> ocsp.OCSPResponse:
    """What is told of a certificate, once it is found to be told by who may."""
    certificate, chain = loaded(issued)
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, chain[0], digest)
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    answer = authority.ocsp(OcspRequest(
        issuer=_issuer_of(authority, issued), content=builder.build().public_bytes(Encoding.DER)))
    read = ocsp.load_der_ocsp_response(answer.content)
    assert read.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL
    assert read.serial_number == certificate.serial_number
    assert read.hash_algorithm.name == digest.name
    assert read.this_update_utc <= datetime.now(UTC)
    assert answer.next_update is None or (
        read.next_update_utc == answer.next_update.replace(tzinfo=UTC))
    _require_told_by(read, chain[0])
    return read


def _require_told_by(answer: ocsp.OCSPResponse, issuer: x509.Certificate) -> None:
    """Insist on a signature of the issuer, or of one it lets answer for it (RFC 6960, 4.2.2.2)."""
    signer = issuer
    for certificate in answer.certificates:
        if certificate != issuer:
            certificate.verify_directly_issued_by(issuer)
            usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
            assert ExtendedKeyUsageOID.OCSP_SIGNING in usage
            assert certificate.not_valid_after_utc > datetime.now(UTC)
            signer = certificate
    key: Any = signer.public_key()
    algorithm, signed = answer.signature_hash_algorithm, (answer.signature, answer.tbs_response_bytes)
    if isinstance(key, rsa.RSAPublicKey):
        assert algorithm is not None
        key.verify(*signed, padding.PKCS1v15(), algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        assert algorithm is not None
        key.verify(*signed, ec.ECDSA(algorithm))
    else:
        key.verify(*signed)
