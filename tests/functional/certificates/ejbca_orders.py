# SPDX-License-Identifier: Apache-2.0
"""Orders for an EJBCA, and what the tests ask of the certificates that come of them."""
import datetime
import itertools
import uuid

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from km.interfaces import Issued, IssueRequest, PendingOrder, RevokeRequest
from tests.functional.certificates.ejbca_server import CA


def csr(common_name='a.test', *, names=('a.test', 'b.test'), key=None, subject=None):
    """A request of a new key, DER."""
    if subject is None:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([
            x509.DNSName(name) if isinstance(name, str) else name for name in names]), critical=False)
    return builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(
        Encoding.DER)


def order(**more):
    """An order, of which nobody has heard yet."""
    return IssueRequest(**{'order_id': str(uuid.uuid4()), 'project_id': 'alpha', 'authority': CA,
                           'csr': csr(), **more})


def in_days(days):
    """A moment to come, UTC without a zone."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0, tzinfo=None) + datetime.timedelta(
        days=days)


def pending(placed, answer):
    """An order, and where it stands by the last answer."""
    return PendingOrder(order=placed, reference=answer.reference)


def revocation(issued, reason='superseded', **more):
    """What has a certificate revoked."""
    certificate = x509.load_der_x509_certificate(issued.certificate)
    return RevokeRequest(authority=CA, order_id=str(uuid.uuid4()), certificate=issued.certificate,
                         reason=reason, **{'revoked_at': certificate.not_valid_before_utc.replace(
                             tzinfo=None), **more})


def assert_fits(issued, placed, root):
    """What came is for the key of the order, and each certificate is signed by the one after it."""
    assert isinstance(issued, Issued), issued
    chain = [x509.load_der_x509_certificate(one) for one in (issued.certificate, *issued.chain)]
    assert chain[0].public_key() == x509.load_der_x509_csr(placed.csr).public_key()
    assert chain[-1] == root
    for one, above in itertools.pairwise(chain):
        one.verify_directly_issued_by(above)
    return chain[0]
