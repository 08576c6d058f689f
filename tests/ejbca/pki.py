# SPDX-License-Identifier: Apache-2.0
"""The authorities of the stand-in, and the certificates they make: real ones."""
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.ejbca import names

DAY = datetime.timedelta(days=1)


def now():
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


class Authority:
    """One CA."""

    def __init__(self, name, number, *, parent=None, organization):
        self.name, self.number, self.offline = name, number, False
        self.key, self.parent = ec.generate_private_key(ec.SECP256R1()), parent
        self.crl_number = 1
        self.certificate = self._own(x509.Name([
            x509.NameAttribute(NameOID.COUNTRY_NAME, 'SE'),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        #: How EJBCA spells its name; it knows it by no other spelling.
        self.subject_dn = names.spelt(self.certificate.subject)
        self.issuer_dn = names.spelt(self.certificate.issuer)

    def _own(self, subject):
        signer = self.parent or self
        issuer = self.parent.certificate.subject if self.parent else subject
        return (
            _builder(subject, issuer, self.key.public_key(), signer.key.public_key(), days=3650)
            .add_extension(x509.BasicConstraints(
                ca=True, path_length=0 if self.parent else None), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .sign(signer.key, hashes.SHA256()))

    @property
    def chain(self):
        """Its certificate, and those above it."""
        return [self.certificate, *(self.parent.chain if self.parent else [])]

    def issue(self, subject, alternatives, key, *, profile, ends=None):
        """A certificate of an end entity, which ends when its profile says, or at ``ends``."""
        builder = _builder(subject, self.certificate.subject, key, self.key.public_key(),
                           days=profile.days, ends=ends)
        builder = (
            builder
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(list(profile.usages)), critical=False))
        if alternatives:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(alternatives), critical=not list(subject))
        return builder.sign(self.key, hashes.SHA256())

    def crl(self, revoked):
        """A complete CRL of those, which are pairs of serial numbers and when they were revoked."""
        self.crl_number += 1
        builder = (
            x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
            .last_update(now()).next_update(now() + DAY)
            .add_extension(x509.CRLNumber(self.crl_number), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                self.key.public_key()), critical=False))
        for serial, moment in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(moment).build())
        return builder.sign(self.key, hashes.SHA256())


def _builder(subject, issuer, key, issuer_key, *, days, ends=None):
    return (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now()).not_valid_after(ends or now() + days * DAY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False))


def _key_usage(*, signs_certificates):
    return x509.KeyUsage(
        digital_signature=not signs_certificates, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=signs_certificates,
        crl_sign=signs_certificates, encipher_only=False, decipher_only=False)
