# SPDX-License-Identifier: Apache-2.0
"""What certificates say, read on the user's machine (RFC 5280)."""
from cryptography import x509
from osc_lib.exceptions import CommandError


def described(pem: bytes) -> list[dict[str, str]]:
    """Subject, issuer and end of each certificate in PEM (RFC 7468), in its order.

    Names are as RFC 4514 writes them; times are ISO 8601, UTC without a zone, as the service tells them.

    :raises CommandError: there is no certificate, or one cannot be read.
    """
    try:
        return [_described(found) for found in x509.load_pem_x509_certificates(pem)]
    except Exception:  # the library has several errors for what strangers write
        raise CommandError('What the key manager keeps is not certificates in PEM.') from None


def _described(found: x509.Certificate) -> dict[str, str]:
    return {'subject': found.subject.rfc4514_string(), 'issuer': found.issuer.rfc4514_string(),
            'not_after': found.not_valid_after_utc.replace(tzinfo=None).isoformat()}
