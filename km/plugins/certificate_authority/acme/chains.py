# SPDX-License-Identifier: Apache-2.0
"""The certificate of an order and what is above it (RFC 8555, 7.4.2)."""
import contextlib
import re
from urllib.parse import urljoin

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from km.interfaces import Issued, Unavailable
from km.plugins.certificate_authority.acme.session import Session
from km.plugins.certificate_authority.acme.transport import Answer

_PEM_CHAIN = 'application/pem-certificate-chain'
_MOST_ALTERNATES = 10
_ALTERNATE = re.compile(r'<([^<>\s]+)>\s*;[^<]*?\brel\s*=\s*"?alternate\b')


def download(session: Session, url: str, *, preferred: str | None) -> list[x509.Certificate]:
    """A certificate and those above it, its issuer first.

    :param preferred: the common name of the issuer of the topmost one, if there is a choice; if none
        has it the usual chain is given.
    :raises Refusal, Unavailable: not now.
    """
    answer = session.post(url, accept=_PEM_CHAIN)
    usual = _certificates(answer)
    if preferred is None or _topmost(usual) == preferred:
        return usual
    for other in alternates(answer, url):
        chain = _certificates(session.post(other, accept=_PEM_CHAIN))
        if _topmost(chain) == preferred:
            return chain
    return usual


def issued(chain: list[x509.Certificate]) -> Issued:
    """A chain as km is given it."""
    leaf, *above = (one.public_bytes(Encoding.DER) for one in chain)
    return Issued(certificate=leaf, chain=tuple(above))


def alternates(answer: Answer, url: str) -> list[str]:
    """The URLs of the other chains that an answer tells of (RFC 8288), a few at the most."""
    links = ', '.join(answer.headers.get_all('Link') or [])
    found = []
    for link in _ALTERNATE.findall(links)[:_MOST_ALTERNATES]:
        with contextlib.suppress(ValueError):  # it is no URL
            found.append(urljoin(url, link))
    return found


def _certificates(answer: Answer) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(answer.body)
        # They are parsed when they are looked at, and whoever does so later expects no error.
        _ = found[0].public_key(), found[-1].issuer
        return found
    except (ValueError, UnsupportedAlgorithm):
        raise Unavailable('The authority sends a certificate that cannot be read.') from None


def _topmost(chain: list[x509.Certificate]) -> str | None:
    names = chain[-1].issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else None
