# SPDX-License-Identifier: Apache-2.0
"""What becomes of a certificate that EJBCA made for an order: it is given, or revoked again."""
from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from km.interfaces import Issued, Rejected
from km.plugins.certificate_authority.ejbca import checking, encodings, failures
from km.plugins.certificate_authority.ejbca.connection import Connection
from km.plugins.certificate_authority.ejbca.options import EjbcaSettings
from km.plugins.certificate_authority.ejbca.order import Order
from km.plugins.certificate_authority.ejbca.revocation import Revocation

_UNVERIFIED = ('The certificate that EJBCA issued for order {order} (serial number {serial}) has no way '
               'that verifies to a certificate in anchors_file. It is given to nobody until it has.')


class Delivery:
    """Looks at certificates before anybody gets them."""

    def __init__(self, connection: Connection, settings: EjbcaSettings, revocation: Revocation):
        """Ask nothing yet."""
        self._connection, self._settings, self._revocation = connection, settings, revocation

    def checked(self, order: Order, certificate: x509.Certificate,
                chain: Iterable[x509.Certificate]) -> Issued:
        """A certificate as km is given it.

        :param chain: what may be above it, in whatever order.
        :raises Rejected: it is not what was ordered; then it was revoked.
        :raises NoAnswer: it cannot be verified, or not be revoked now.
        """
        if not _is_for(order, certificate):
            # It may be somebody else's, so it is not for km to revoke.
            raise Rejected('EJBCA issued a certificate for another key than that of the order.')
        # First, for a certificate that is not by this authority is not for km to revoke either.
        try:
            above = checking.path(certificate, chain, self._settings.anchors)
        except checking.Unverified:
            raise self._connection.no_answer(_UNVERIFIED.format(
                order=order.request.order_id, serial=encodings.serial(certificate))) from None
        try:
            problem = checking.unlike(order.csr, order.request.not_after, certificate)
        except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
            problem = 'EJBCA issued a certificate with names that cannot be read.'
        if problem is not None:
            self.take_back(certificate)
            raise Rejected(f'{problem} It was revoked.')
        return Issued(certificate=certificate.public_bytes(Encoding.DER),
                      chain=tuple(one.public_bytes(Encoding.DER) for one in above))

    def take_back(self, certificate: x509.Certificate) -> None:
        """Revoke a certificate that nobody will get.

        :raises NoAnswer: not now.
        """
        try:
            self._revocation.revoke(certificate, 'cessationOfOperation')
        except Rejected as error:
            raise self._connection.no_answer(failures.with_message(
                'A certificate that nobody gets is not revoked', error.sentence)) from None


def _is_for(order: Order, certificate: x509.Certificate) -> bool:
    try:
        return certificate.public_key() == order.csr.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False
