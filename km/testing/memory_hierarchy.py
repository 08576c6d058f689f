# SPDX-License-Identifier: Apache-2.0
"""A certificate authority in memory with every ability, for the tests of what makes use of them."""
from collections.abc import Mapping
from datetime import timedelta

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from km.interfaces import (
    Authority,
    Crl,
    CrlRequest,
    IssuerRotation,
    NotFound,
    OcspAnswer,
    OcspRequest,
    Rejected,
    RenewalAdviser,
    RenewalWindow,
    StatusPublisher,
    SubordinateMaker,
    SubordinateRequest,
)
from km.testing.certificate_orders import spki
from km.testing.issuers import Issuer, new_issuer
from km.testing.memory_authority import Call, MemoryAuthority

_CRL_LIFE = timedelta(days=1)


class MemoryHierarchy(MemoryAuthority, SubordinateMaker, RenewalAdviser, StatusPublisher,
                      IssuerRotation):
    """Makes others under it, publishes what it revoked, says when to renew, and changes its keys.

    A test may put windows into ``windows``, by certificates; the usual one begins when two thirds of a
    life are over.
    """

    def open(self) -> None:
        super().open()
        self.windows: dict[bytes, RenewalWindow] = {}

    def make_subordinate(self, request: SubordinateRequest) -> Authority:
        memory = self.memory
        with Call(memory, 'make_subordinate'):
            if request.parent not in memory.issuers:
                raise Rejected('There is no such authority.')
            if request.authority_id not in memory.issuers:
                memory.owners[request.authority_id] = request.project_id
                memory.above[request.authority_id] = memory.issuers[request.parent]
                memory.enter(request.authority_id, new_issuer(
                    _name(request.subject), above=memory.issuers[request.parent]))
            made = memory.issuers[request.authority_id]
            return Authority(name=request.authority_id, description=request.name,
                             certificate=made.der, chain=made.chain)

    def remove_subordinate(self, authority_id: str) -> None:
        with Call(self.memory, 'remove_subordinate'):
            if authority_id in self.memory.owners:
                self.memory.issuers.pop(authority_id, None)

    def renewal_window(self, certificate: bytes) -> RenewalWindow | None:
        with Call(self.memory, 'renewal_window'):
            if certificate in self.windows:
                return self.windows[certificate]
            if not any(issued.certificate == certificate for issued in self.memory.issued.values()):
                return None
            loaded = x509.load_der_x509_certificate(certificate)
            ends = loaded.not_valid_after_utc.replace(tzinfo=None)
            third = (ends - loaded.not_valid_before_utc.replace(tzinfo=None)) / 3
            return RenewalWindow(start=ends - third, end=ends - third / 2, ask_after_seconds=3600.0)

    def issuer_certificate(self, issuer: str) -> bytes:
        return self._issuer(issuer).der

    def crl(self, request: CrlRequest) -> Crl:
        with Call(self.memory, 'crl'):
            return self._crl(self._issuer(request.issuer), delta=request.delta)

    def publish(self) -> Mapping[str, Crl]:
        with Call(self.memory, 'publish'):
            return {name: self._crl(issuer, delta=False)
                    for name, issuer in self.memory.everyone.items()}

    def ocsp(self, request: OcspRequest) -> OcspAnswer:
        with Call(self.memory, 'ocsp'):
            issuer = self._issuer(request.issuer)
            try:
                asked = ocsp.load_der_ocsp_request(request.content)
                serial, digest = asked.serial_number, asked.hash_algorithm
            except Exception:  # the library has several errors for what strangers write
                return _unsuccessful(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
            issued = map(x509.load_der_x509_certificate, self._issued_by(issuer))
            found = next((one for one in issued if one.serial_number == serial), None)
            if found is None or not _is_about(asked, issuer, found):
                return _unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)
            return self._answer(issuer, found, digest)

    def rotate_issuer(self, authority: str) -> str:
        with Call(self.memory, 'rotate_issuer'):
            before = self._authority(authority)
            made = self.memory.enter(authority, new_issuer(
                before.certificate.subject, above=self.memory.above[authority]))
            return f'{authority} issues by {made.name}'

    def issuer_request(self, authority: str) -> bytes:
        with Call(self.memory, 'issuer_request'):
            before = self._authority(authority)
            key = self.memory.next_keys.setdefault(authority, ec.generate_private_key(ec.SECP256R1()))
            return x509.CertificateSigningRequestBuilder().subject_name(
                before.certificate.subject).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)

    def install_issuer(self, authority: str, certificate: bytes, chain: tuple[bytes, ...]) -> str:
        with Call(self.memory, 'install_issuer'):
            key = self.memory.next_keys.get(authority)
            try:
                loaded = x509.load_der_x509_certificate(certificate)
                fits = key is not None and spki(loaded.public_key()) == spki(key.public_key())
                able = loaded.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
            except (ValueError, x509.ExtensionNotFound):
                fits = able = False
            if key is None or not fits or not able:
                raise Rejected('That is no certificate of an authority with the key that was requested.')
            del self.memory.next_keys[authority]
            made = self.memory.enter(authority, Issuer(key, loaded, chain))
            return f'{authority} issues by {made.name}'

    def _authority(self, authority: str) -> Issuer:
        if authority not in self.memory.issuers:
            raise NotFound('There is no such authority.')
        return self.memory.issuers[authority]

    def _issuer(self, issuer: str) -> Issuer:
        if issuer not in self.memory.everyone:
            raise NotFound('There is no such issuer.')
        return self.memory.everyone[issuer]

    def _issued_by(self, issuer: Issuer) -> list[bytes]:
        return [issued.certificate for issued in self.memory.issued.values()
                if issued.chain[0] == issuer.der]

    def _crl(self, issuer: Issuer, *, delta: bool) -> Crl:
        """A new one: each complete one has everything, and a delta changes nothing of it."""
        now = self.memory.clock().replace(microsecond=0)
        if not delta:
            self.memory.crl_numbers[issuer.name] = self.memory.crl_numbers.get(issuer.name, 0) + 1
        number = self.memory.crl_numbers.setdefault(issuer.name, 1)
        builder = x509.CertificateRevocationListBuilder().issuer_name(
            issuer.certificate.subject).last_update(now).next_update(now + _CRL_LIFE).add_extension(
            x509.CRLNumber(number), critical=False).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
        if delta:
            builder = builder.add_extension(x509.DeltaCRLIndicator(number), critical=True)
        for der in () if delta else self._issued_by(issuer):
            if revoked := self.memory.revoked.get(der):
                builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(
                    x509.load_der_x509_certificate(der).serial_number).revocation_date(
                    revoked.revoked_at).add_extension(x509.CRLReason(
                        x509.ReasonFlags(revoked.reason)), critical=False).build())
        content = builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)
        return Crl(content=content, number=number, this_update=now, next_update=now + _CRL_LIFE)

    def _answer(self, issuer: Issuer, certificate: x509.Certificate,
                digest: hashes.HashAlgorithm) -> OcspAnswer:
        revoked = self.memory.revoked.get(certificate.public_bytes(Encoding.DER))
        now = self.memory.clock().replace(microsecond=0)
        status = ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD
        answer = ocsp.OCSPResponseBuilder().add_response(
            certificate, issuer.certificate, digest, status, now, now + _CRL_LIFE,
            revoked.revoked_at if revoked else None,
            x509.ReasonFlags(revoked.reason) if revoked else None).responder_id(
            ocsp.OCSPResponderEncoding.HASH, issuer.certificate).sign(issuer.key, hashes.SHA256())
        return OcspAnswer(content=answer.public_bytes(Encoding.DER))


def _is_about(asked: ocsp.OCSPRequest, issuer: Issuer, certificate: x509.Certificate) -> bool:
    """Whether a question names the issuer of a certificate."""
    ours = ocsp.OCSPRequestBuilder().add_certificate(
        certificate, issuer.certificate, asked.hash_algorithm).build()
    return (asked.issuer_key_hash, asked.issuer_name_hash) == (
        ours.issuer_key_hash, ours.issuer_name_hash)


def _unsuccessful(status: ocsp.OCSPResponseStatus) -> OcspAnswer:
    answer = ocsp.OCSPResponseBuilder.build_unsuccessful(status)
    return OcspAnswer(content=answer.public_bytes(Encoding.DER))


def _name(der: bytes) -> x509.Name:
    try:
        return x509.Name([
            x509.RelativeDistinguishedName([
                x509.NameAttribute(x509.ObjectIdentifier(one['type'].dotted), one['value'].native)
                for one in relative])
            for relative in asn1_x509.Name.load(der, strict=True).chosen])
    except Exception:  # as above
        raise Rejected('The subject is no Name (RFC 5280, 4.1.2.6).') from None
