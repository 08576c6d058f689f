# SPDX-License-Identifier: Apache-2.0
"""The CA that km asks: how EJBCA spells its name, its certificates, and its CRL."""
from dataclasses import dataclass

from cryptography import x509

from km.plugins.certificate_authority.ejbca import encodings, failures
from km.plugins.certificate_authority.ejbca.connection import Connection

_MOST_CRL_BYTES = 64 * 2 ** 20


@dataclass(frozen=True, slots=True)
class Ca:
    """A CA of EJBCA's.

    :param subject_dn: its subject in EJBCA's own spelling, which paths need to the letter.
    """

    name: str
    subject_dn: str


def find(connection: Connection, name: str) -> Ca:
    """A CA by its name.

    :raises NoAnswer: there is none that km may use.
    """
    listed = connection.ask('GET', 'v1', 'ca').fields().get('certificate_authorities')
    if not isinstance(listed, list):
        raise connection.not_ejbca()
    for told in listed:
        if isinstance(told, dict) and told.get('name') == name:
            subject_dn = told.get('subject_dn')
            if isinstance(subject_dn, str) and subject_dn:
                return Ca(name, subject_dn)
    raise connection.no_answer(failures.NO_SUCH_CA)


def certificates(connection: Connection, ca: Ca) -> tuple[x509.Certificate, ...]:
    """The certificate of a CA, and then those above it in whatever order.

    :raises NoAnswer: EJBCA has none for km.
    """
    answer = connection.ask('GET', 'v1', 'ca', ca.subject_dn, 'certificate', 'download')
    if not answer.done:
        raise connection.no_answer(failures.with_message(failures.NO_SUCH_CA[:-1], answer.message))
    try:
        told = encodings.certificates(answer.content)
    except ValueError:
        raise connection.not_ejbca() from None
    # Its own is the one that issued none of the others, wherever it is.
    for own in told:
        others = tuple(one for one in told if one is not own)
        if all(one.issuer != own.subject for one in others):
            return (own, *others)
    raise connection.not_ejbca()


def crl(connection: Connection, ca: Ca) -> x509.CertificateRevocationList | None:
    """The newest complete CRL of a CA; None if it has none yet.

    :raises NoAnswer: EJBCA says nothing of it.
    """
    answer = connection.ask('GET', 'v1', 'ca', ca.subject_dn, 'getLatestCrl',
                            query={'deltaCrl': 'false', 'crlPartitionIndex': '0'},
                            most_bytes=_MOST_CRL_BYTES)
    if answer.status == 404:
        return None
    try:
        return x509.load_der_x509_crl(encodings.der(answer.fields().get('crl')))
    except ValueError:
        raise connection.not_ejbca() from None
