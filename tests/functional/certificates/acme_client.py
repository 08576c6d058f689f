# SPDX-License-Identifier: Apache-2.0
"""What tests of ACME do as km does it: order, ask again, and answer challenges in pebble's mock DNS."""

import base64
import hashlib
import time
import uuid
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from km.interfaces import ChallengeResponder, Issued, IssueRequest, PendingOrder, Rejected

_SECONDS = 20
_PAUSE_SECONDS = 0.02


class MockDnsResponder(ChallengeResponder):
    """Answers dns-01 in pebble's mock DNS, which can only clear all records of a name.

    `waits` are what `present` gives first, before it gives 0; it takes no name in `refuses`.
    """

    kind = 'dns-01'

    def __init__(self, dns):
        super().__init__('mock-dns', None)
        self.dns, self.waits, self.refuses = dns, [], set()

    def present(self, challenge):
        if challenge.identifier in self.refuses:
            raise Rejected(f'{challenge.identifier} is not in the zone.')
        name, value = _record(challenge)
        if value not in self.dns.txt.get(name, ()):
            self.dns.set_txt(name, value)
        return self.waits.pop(0) if self.waits else 0

    def remove(self, challenge):
        name, value = _record(challenge)
        left = [one for one in self.dns.txt.get(name, ()) if one != value]
        self.dns.clear_txt(name)
        for one in left:
            self.dns.set_txt(name, one)


def _record(challenge):
    digest = hashlib.sha256(challenge.key_authorization.encode()).digest()
    return (f'_acme-challenge.{challenge.identifier}',
            base64.urlsafe_b64encode(digest).rstrip(b'=').decode())


def csr(*names, addresses=(), key=None, common_name=None):
    """Give a certificate request for these names, DER, by a new key if none is given."""
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    alternatives = [*map(x509.DNSName, names), *map(x509.IPAddress, addresses)]
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name(subject))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
        .public_bytes(Encoding.DER)
    )


def an_order(*names, **given):
    """Give what km asks for a new order; `given` goes to `csr` or is of the request itself."""
    of_csr = {one: given.pop(one) for one in ('addresses', 'key', 'common_name') if one in given}
    return IssueRequest(**{
        'order_id': str(uuid.uuid4()), 'project_id': 'alpha', 'authority': 'plugin',
        'csr': csr(*names, **of_csr), **given})


def finished(authority, order, begun=None):
    """Have an order brought to its end, as km would but without km's waits; give what it comes to."""
    deadline = time.monotonic() + _SECONDS
    outcome = begun or authority.issue(order)
    while not isinstance(outcome, Issued):
        assert time.monotonic() < deadline, outcome
        time.sleep(_PAUSE_SECONDS)
        outcome = authority.poll(PendingOrder(order=order, reference=outcome.reference))
    return outcome


def again(order):
    """Give the same order as km asks for it after it was killed."""
    return replace(order, attempt=order.attempt + 1)


def certificate(issued):
    """Give the certificate of what was issued."""
    return x509.load_der_x509_certificate(issued.certificate)


def names(issued):
    """Give the DNS names that a certificate is for, sorted."""
    found = certificate(issued).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return sorted(found.get_values_for_type(x509.DNSName))
