# SPDX-License-Identifier: Apache-2.0
"""Profiles: what the stand-in lets who have."""
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.ejbca import names
from tests.ejbca.refusals import Refusal


@dataclass(frozen=True)
class CertificateProfile:
    """What a certificate is for, and how long it holds."""

    name: str
    usages: tuple
    days: int = 90
    may_end_otherwise: bool = True
    least_rsa_bits: int = 2048


@dataclass(frozen=True)
class EntityProfile:
    """Who may have certificates, of what profiles, by what authorities."""

    name: str
    authorities: tuple
    certificate_profiles: tuple
    subject: frozenset = frozenset({'CN', 'O', 'OU', 'C'})
    alternatives: tuple = (x509.DNSName, x509.IPAddress)
    most_alternatives: int = 5

    def require(self, subject, alternatives):
        """Insist that the names are such as this profile has."""
        if not names.fields(subject) <= self.subject:
            raise Refusal(422, 'The subject has fields that the end entity profile does not have.')
        if len(alternatives) > self.most_alternatives or not all(
                isinstance(name, self.alternatives) for name in alternatives):
            raise Refusal(422, 'The end entity profile does not allow these alternative names.')


def require_key(profile, key):
    """Insist that a key is as a certificate profile has it."""
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < profile.least_rsa_bits:
        raise Refusal(400, 'The certificate profile does not allow this key.')


CERTIFICATE_PROFILES = {profile.name: profile for profile in (
    CertificateProfile('SERVER', (ExtendedKeyUsageOID.SERVER_AUTH,)),
    CertificateProfile('CLIENT', (ExtendedKeyUsageOID.CLIENT_AUTH,), days=30),
    CertificateProfile('FIXED', (ExtendedKeyUsageOID.SERVER_AUTH,), may_end_otherwise=False),
)}
ENTITY_PROFILES = {profile.name: profile for profile in (
    EntityProfile('Hosts', ('km Sub CA',), ('SERVER', 'FIXED')),
    EntityProfile('People', ('km Sub CA', 'km Root CA'), ('CLIENT',),
                  alternatives=(x509.RFC822Name, x509.UniformResourceIdentifier)),
)}
