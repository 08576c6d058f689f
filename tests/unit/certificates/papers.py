# SPDX-License-Identifier: Apache-2.0
"""Requests that are built as a test wants them, and what is said of them."""
import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
)
from cryptography.x509.oid import NameOID

from km.errors import Invalid

KEY = ec.generate_private_key(ec.SECP256R1())


def pem(der, label='CERTIFICATE REQUEST'):
    lines = base64.encodebytes(der).decode()
    return f'-----BEGIN {label}-----\n{lines}-----END {label}-----\n'


def one_line(content):
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


def built(*, key=KEY, subject=(), names=(), extensions=()):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def called(text):
    return x509.NameAttribute(NameOID.COMMON_NAME, text)


def sentence(function, *arguments, **more):
    with pytest.raises(Invalid) as refused:
        function(*arguments, **more)
    return refused.value.sentence
