# SPDX-License-Identifier: Apache-2.0
"""How EJBCA writes certificates: DER in base64, once or twice, or PEM."""
import base64
import binascii

from cryptography import x509

_SEQUENCE = 0x30
_MOST_TIMES = 3


def der(text: object) -> bytes:
    """What is in base64 of DER, or of base64 of DER.

    :raises ValueError: that is not what it is.
    """
    if not isinstance(text, str):
        raise ValueError('no text')
    content = text.encode('ascii')
    for _ in range(_MOST_TIMES):
        try:
            content = base64.b64decode(b''.join(content.split()), validate=True)
        except binascii.Error:
            break
        if content[:1] == bytes([_SEQUENCE]):
            return content
    raise ValueError('no base64 of DER')


def certificate(text: object) -> x509.Certificate:
    """A certificate of an answer.

    :raises ValueError: it is none.
    """
    return x509.load_der_x509_certificate(der(text))


def certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Those of a file.

    :raises ValueError: there are none in it.
    """
    return tuple(x509.load_pem_x509_certificates(pem))


def serial(certificate: x509.Certificate) -> str:
    """The serial number of a certificate as paths have it: hexadecimal, of whole bytes."""
    digits = f'{certificate.serial_number:X}'
    return digits.zfill(len(digits) + len(digits) % 2)
