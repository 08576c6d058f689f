# SPDX-License-Identifier: Apache-2.0
"""The write order of a certificate: first the row with its serial, its order and all that it will say,
then the signature, then the certificate.

The unique order decides between those who issue for one at once, and whoever is cut off is finished by
the next who asks.
"""
import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy.exc import IntegrityError

from km.interfaces import Rejected, Unavailable
from km.plugins.certificate_authority.local_ca import drafts
from km.plugins.certificate_authority.local_ca.keys import Keys, require_signature, signature
from km.plugins.certificate_authority.local_ca.signers import Signer, Signers, parsed
from km.plugins.certificate_authority.local_ca.tables import CERTIFICATES, REMOVED
from km.plugins.database import PluginDatabase

#: How many serial numbers must have been given before. One was never seen.
_MOST_DRAWS = 3


class Issuing:
    """All methods raise ``Unavailable`` when the key's store or the database does not answer."""

    def __init__(self, database: PluginDatabase, keys: Keys, signers: Signers,
                 now: Callable[[], datetime]):
        self._database, self._keys, self._signers, self._now = database, keys, signers, now

    def find(self, order_id: str) -> sa.Row | None:
        """The row of an order."""
        return self._database.one(sa.select(CERTIFICATES).where(CERTIFICATES.c.order_id == order_id))

    def make(self, order_id: str, issuer: Signer, builder: x509.CertificateBuilder, *,
             listed: bool = True) -> bytes:
        """The one certificate of an order, DER: the one there is, or that ``builder`` describes.

        :param builder: all but the serial number.
        :param listed: whether it will be on CRLs if it is revoked.
        :raises NotFound, Rejected: the issuer's key was destroyed.
        """
        public = self._keys.private(issuer.key_id).public_key()
        row = self.find(order_id)
        for _ in range(_MOST_DRAWS):
            if row is not None:
                return self.finish(row)
            self._begin(order_id, issuer.id, listed=listed, drafted=drafts.draft(
                builder.serial_number(x509.random_serial_number()), public))
            row = self.find(order_id)
        raise Unavailable('No serial number was new.')

    def finish(self, row: sa.Row) -> bytes:
        """The certificate of a row, DER; signed now if it was not.

        :raises NotFound, Rejected: the issuer was removed, or its key destroyed.
        """
        if row.certificate is not None:
            return row.certificate
        issuer = self._signers.get(row.issuer_id)
        if issuer.state == REMOVED:  # perhaps its last CRL was made before this row was there
            raise Rejected('The authority was removed.')
        private = self._keys.private(issuer.key_id)
        to_sign = drafts.to_be_signed(row.draft)
        signed = signature(private, to_sign)
        try:
            require_signature(private.public_key(), signed, to_sign)
        except InvalidSignature:
            raise Unavailable("The store of the authority's key signs wrongly.") from None
        self._database.run(CERTIFICATES.update().where(
            CERTIFICATES.c.order_id == row.order_id, CERTIFICATES.c.certificate.is_(None)).values(
            certificate=drafts.signed(row.draft, signed), draft=None))
        found = self.find(row.order_id)
        if found is None:  # a row that long ended is pruned
            raise Rejected('The time of this certificate is over.')
        return found.certificate

    def require_new_trust(self, public_key: Any) -> None:
        """Insist that no certificate of a key was revoked because others may have it.

        :raises Rejected: one was.
        """
        if self._database.one(sa.select(CERTIFICATES.c.serial).where(
                CERTIFICATES.c.key_digest == key_digest(public_key),
                CERTIFICATES.c.reason == 'keyCompromise')):
            raise Rejected('The key is known to be compromised.')

    def _begin(self, order_id: str, issuer_id: str, *, drafted: bytes, listed: bool) -> None:
        draft = parsed(drafted)
        try:
            self._database.run(
                CERTIFICATES.insert(), issuer_id=issuer_id, serial=serial_text(draft.serial_number),
                order_id=order_id, draft=drafted, key_digest=key_digest(draft.public_key()),
                not_after=draft.not_valid_after_utc.replace(tzinfo=None), listed=listed, changed=0)
        except IntegrityError:
            return  # somebody was faster, or had the serial number


def serial_text(serial: int) -> str:
    """A serial number as rows have it: 40 hexadecimal digits; RFC 5280 has no longer ones."""
    return f'{serial:040x}'


def key_digest(public_key: Any) -> str:
    """What tells keys apart: SHA-256 of SubjectPublicKeyInfo, hexadecimal."""
    return hashlib.sha256(public_key.public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
