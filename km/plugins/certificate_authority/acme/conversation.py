# SPDX-License-Identifier: Apache-2.0
"""Signed messages to an authority (RFC 8555, 6.2 to 6.5), during one call of the plugin."""
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import josepy
from acme import jws
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from km.interfaces import NotSupported, Unavailable
from km.plugins.certificate_authority.acme import problems
from km.plugins.certificate_authority.acme.problems import Refusal
from km.plugins.certificate_authority.acme.transport import Answer, Transport, is_url

_BASE64URL = re.compile('[A-Za-z0-9_-]+')
#: An authority may refuse good nonces as often as it likes: it gives a new one with each refusal.
_MOST_TRIES = 12
#: What there is without which there is no certificate.
_RESOURCES = ('newNonce', 'newAccount', 'newOrder')


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that signs messages, which is elsewhere.

    :param jwk: its public half (RFC 7517).
    :param private: as ``cryptography`` takes private keys.
    """

    jwk: josepy.JWK
    private: josepy.JWK = field(repr=False)

    @property
    def algorithm(self) -> Any:
        """How it signs (RFC 7518, 3.1)."""
        return josepy.RS256 if isinstance(self.jwk, josepy.JWKRSA) else josepy.ES256

    def thumbprint(self) -> str:
        """What is known of it to who looks at proofs (RFC 7638)."""
        return josepy.b64encode(self.jwk.thumbprint()).decode()

    def signed(self, payload: Mapping[str, Any] | None, *, url: str, nonce: bytes | None = None,
               account_url: str | None = None) -> dict[str, Any]:
        """A JWS (RFC 7515, 7.2.2), as JSON is before it is text.

        :param payload: what to say; None for an empty payload.
        :param account_url: who signs; if it is None the public key itself is told.
        """
        # The library's own messages are not used: one without fields is falsy, and would be no message.
        content = b'' if payload is None else json.dumps(payload, default=_as_json).encode()
        return jws.JWS.sign(content, key=self.private, alg=self.algorithm, nonce=nonce, url=url,
                            kid=account_url).to_json()


def signer_of(private: Any, public_key: bytes) -> Signer:
    """A signer.

    :param private: as ``cryptography`` takes private keys.
    :param public_key: SubjectPublicKeyInfo, DER.
    """
    public = load_der_public_key(public_key)
    kind = josepy.JWKRSA if isinstance(public, rsa.RSAPublicKey) else josepy.JWKEC
    return Signer(kind(key=public), kind(key=private))


class Conversation:
    """A conversation with an authority; of one thread."""

    def __init__(self, transport: Transport, directory: Mapping[str, Any]):
        """Say nothing yet.

        :param directory: as ``directory`` gives it.
        """
        self._transport, self.directory = transport, directory
        self._nonce: str | None = None

    @property
    def meta(self) -> Mapping[str, Any]:
        """What the authority says of itself (RFC 8555, 9.7.6)."""
        meta = self.directory.get('meta')
        return meta if isinstance(meta, Mapping) else {}

    def resource(self, name: str) -> str:
        """The URL of one of the resources in the directory.

        :raises NotSupported: the authority has no such.
        """
        url = self.directory.get(name)
        if not is_url(url):
            raise NotSupported(f'The authority offers no {name}.')
        return url

    def get(self, url: str) -> Answer:
        """What anybody may ask for.

        :raises Refusal, Unavailable: there is no such answer.
        """
        return _succeeded(self._transport.request('GET', url))

    def post(self, url: str, payload: Mapping[str, Any] | None, signer: Signer, *,
             account_url: str | None = None, accept: str | None = None) -> Answer:
        """The answer to a signed message; if its nonce is refused it is signed again with another.

        :param payload: what to say; None to only ask for what is there (POST-as-GET).
        :raises Refusal, Unavailable: there is no such answer.
        """
        for _ in range(_MOST_TRIES):
            message = signer.signed(payload, url=url, nonce=self._fresh_nonce(), account_url=account_url)
            answer = self._transport.request(
                'POST', url, body=json.dumps(message).encode(), accept=accept)
            self._nonce = answer.headers.get('Replay-Nonce')
            try:
                return _succeeded(answer)
            except Refusal as refusal:
                if refusal.kind != 'badNonce':
                    raise
        raise Unavailable(f'The authority refused {_MOST_TRIES} nonces in a row.')

    def _fresh_nonce(self) -> bytes:
        nonce, self._nonce = self._nonce, None
        if nonce is None:
            nonce = _given(self._transport.request(
                'HEAD', self.resource('newNonce'))).headers.get('Replay-Nonce')
        try:
            if nonce and _BASE64URL.fullmatch(nonce):
                return josepy.decode_b64jose(nonce)
        except josepy.DeserializationError:
            pass  # nothing is encoded in so many characters
        raise Unavailable('The authority gives no nonce.')


def directory(transport: Transport, url: str) -> Mapping[str, Any]:
    """The directory of an authority (RFC 8555, 7.1.1).

    :raises Unavailable: there is none.
    """
    found = _given(transport.request('GET', url)).document()
    if not isinstance(found, Mapping) or not all(is_url(found.get(name)) for name in _RESOURCES):
        raise Unavailable('The authority gives no ACME directory at directory_url.')
    return found


def _succeeded(answer: Answer) -> Answer:
    if 200 <= answer.status < 300:
        return answer
    raise problems.refusal(answer.status, answer.document(), answer.retry_after_seconds())


def _given(answer: Answer) -> Answer:
    """An answer to what has nothing of an order in it: that it is refused is not the order's fault."""
    try:
        return _succeeded(answer)
    except Refusal as refusal:
        raise Unavailable(refusal.sentence, refusal.retry_after_seconds) from None


def _as_json(value: Any) -> Any:
    """A value of the library's as ``json`` knows values."""
    return value.to_json()
