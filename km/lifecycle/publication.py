# SPDX-License-Identifier: Apache-2.0
"""What authorities publish of what they have revoked, for everybody: no token is asked for."""
from typing import Any

from km.errors import NotFound
from km.interfaces import CrlRequest, OcspRequest, StatusPublisher
from km.lifecycle.context import ANYBODY, Context, task


@task(ANYBODY)
def crl(ctx: Context, *, name: str, issuer: str, delta: bool) -> dict[str, Any]:
    """The newest CRL (RFC 5280, 5) of an issuer.

    :param name: the operator's name of the plugin.
    :param delta: whether the changes since the last complete one are wanted.
    :returns: ``content``, DER, ``this_update`` and ``next_update``.
    :raises NotFound: there is no such plugin, or none that publishes, or no such issuer.
    :raises Unavailable: not now.
    """
    found = _publisher(ctx, name).crl(CrlRequest(issuer=issuer, delta=delta))
    return {'content': found.content, 'this_update': found.this_update,
            'next_update': found.next_update}


@task(ANYBODY)
def issuer_certificate(ctx: Context, *, name: str, issuer: str) -> bytes:
    """The certificate of an issuer, X.509, DER.

    :raises NotFound, Unavailable: see ``crl``.
    """
    return _publisher(ctx, name).issuer_certificate(issuer)


@task(ANYBODY)
def ocsp(ctx: Context, *, name: str, issuer: str, content: bytes) -> dict[str, Any]:
    """The answer to an OCSPRequest (RFC 6960, 4.1.1), DER.

    :returns: ``content``, OCSPResponse, DER, and ``next_update``: until when it may be told to who asks
        the same again; None if it may not be.
    :raises NotFound, Unavailable: see ``crl``.
    """
    found = _publisher(ctx, name).ocsp(OcspRequest(issuer=issuer, content=content))
    return {'content': found.content, 'next_update': found.next_update}


def _publisher(ctx: Context, name: str) -> StatusPublisher:
    hosted = ctx.authorities.get(name)
    publisher = hosted.able(StatusPublisher) if hosted else None
    if publisher is None:
        raise NotFound('')
    return publisher
