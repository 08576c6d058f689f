# SPDX-License-Identifier: Apache-2.0
"""Certificates without their signature: all of it is decided, and kept, before a key signs.

So somebody who is cut off while signing leaves no second certificate behind, but one that is finished
later, byte for byte the same in what it says.
"""
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from km.interfaces import SignRequest, StoredSecret
from km.plugins.certificate_authority.local_ca.keys import digest_for
from km.plugins.signer import signer

#: BIT STRING of one byte, which stands for the signature.
_NO_SIGNATURE = b'\x03\x02\x00\x00'


class _SignsNothing:
    def sign(self, _request: SignRequest) -> bytes:
        return b'\x00'


def draft(builder: x509.CertificateBuilder, issuer_key: Any) -> bytes:
    """A certificate that any verifier refuses, DER.

    :param issuer_key: the public key of who shall sign it.
    """
    nobody = StoredSecret(secret_id='', project_id='', reference={})
    key = signer(_SignsNothing(), nobody, issuer_key.public_bytes(  # type: ignore[arg-type]
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return builder.sign(key, digest_for(issuer_key)).public_bytes(Encoding.DER)


def to_be_signed(drafted: bytes) -> bytes:
    """TBSCertificate (RFC 5280, 4.1), DER: what to sign."""
    return x509.load_der_x509_certificate(drafted).tbs_certificate_bytes


def signed(drafted: bytes, signature: bytes) -> bytes:
    """The certificate, DER."""
    contents = drafted[drafted.index(to_be_signed(drafted)):-len(_NO_SIGNATURE)]
    return der(0x30, contents + der(0x03, b'\x00' + signature))


def der(tag: int, contents: bytes) -> bytes:
    """A value and its length, DER (X.690, 8.1.3).

    :param tag: one octet, such as 0x30 for a SEQUENCE.
    """
    length = len(contents)
    if length < 0x80:
        return bytes((tag, length)) + contents
    octets = length.to_bytes((length.bit_length() + 7) // 8, 'big')
    return bytes((tag, 0x80 | len(octets))) + octets + contents
