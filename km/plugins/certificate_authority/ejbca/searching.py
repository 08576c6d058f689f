# SPDX-License-Identifier: Apache-2.0
"""Finding out what EJBCA has for an order already, by the name of its end entity."""
import logging
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from km.plugins.certificate_authority.ejbca import encodings, failures
from km.plugins.certificate_authority.ejbca.connection import Connection

LOG = logging.getLogger(__name__)

#: One order has one end entity, and that has few certificates.
_MOST_RESULTS = 100


def certificate(connection: Connection, username: str, csr: x509.CertificateSigningRequest,
                ) -> x509.Certificate | None:
    """The certificate of an end entity for the key of a request.

    There should not be two. If there are, as when EJBCA was slower than km's patience, it is the one
    that was made first, each time.

    :raises NoAnswer: EJBCA does not say.
    """
    ours = certificates(connection, username, csr.public_key())
    if len(ours) > 1:
        LOG.warning('Certificate authority %s: EJBCA made %d certificates for %s, where km ordered one.',
                    connection.name, len(ours), username)
    return min(ours, key=lambda one: (one.not_valid_before_utc, one.serial_number), default=None)


def certificates(connection: Connection, username: str, public_key: Any) -> list[x509.Certificate]:
    """All certificates of an end entity for a key.

    :raises NoAnswer: EJBCA does not say.
    """
    answer = connection.ask('POST', 'v1', 'certificate', 'search', body=_query(username))
    found = answer.fields().get('certificates')
    if not answer.done or not isinstance(found, list):
        raise _refused(connection, answer.message)
    try:
        read = [encodings.certificate(told['certificate']) for told in found]
        return [one for one in read if one.public_key() == public_key]
    except (ValueError, KeyError, TypeError, UnsupportedAlgorithm):
        raise connection.not_ejbca() from None


def entity_status(connection: Connection, username: str) -> str | None:
    """In what state an end entity is, in EJBCA's words; None if there is no such one.

    :raises NoAnswer: EJBCA does not say, or has no end entities in its REST interface.
    """
    answer = connection.ask('POST', 'v1', 'endentity', 'search', body=_query(username))
    if answer.status == 404:
        raise connection.no_answer(failures.NO_END_ENTITIES)
    found = answer.fields().get('end_entities')
    if not answer.done or not isinstance(found, list):
        raise _refused(connection, answer.message)
    return next((str(told.get('status')) for told in found
                 if isinstance(told, dict) and told.get('username') == username), None)


def _query(username: str) -> dict[str, Any]:
    return {'max_number_of_results': _MOST_RESULTS, 'criteria': [
        {'property': 'QUERY', 'value': username, 'operation': 'EQUAL'}]}


def _refused(connection: Connection, message: str) -> failures.NoAnswer:
    return connection.no_answer(failures.with_message(f'{failures.FAILED} to search', message))
