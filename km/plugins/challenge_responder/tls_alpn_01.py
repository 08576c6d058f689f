# SPDX-License-Identifier: Apache-2.0
"""The proof of tls-alpn-01 (RFC 8737): a certificate that whoever has a name's port 443 can show."""
import secrets
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from oslo_config import cfg

from km.interfaces import Challenge, ChallengeResponder, Rejected, Unavailable
from km.plugins.challenge_responder import acme_tls
from km.plugins.challenge_responder.complaints import address
from km.plugins.challenge_responder.listening import (
    CONNECTION_SECONDS,
    Listener,
    listening,
    reachable,
)
from km.plugins.challenge_responder.proof_folder import ProofFolder

_SUFFIX = '.pem'
#: For how long one proof keeps those of other orders for the same name waiting.
_TURN_SECONDS = 600.0
_ASK_AGAIN_SECONDS = 5.0


class TlsAlpn01(ChallengeResponder):
    """Makes certificates, and shows them if it is told to.

    A name has one proof at a time, for one certificate is shown for it: the next waits until it is taken
    away, or ten minutes at most.
    """

    kind = 'tls-alpn-01'
    options = (
        cfg.StrOpt('path', required=True,
                   help='The folder for the proofs, a file NAME.pem each, with key and certificate; '
                        'NAME is what the authority asks for in SNI. Only the user km runs as may write '
                        'to it.'),
        cfg.StrOpt('listen',
                   help='An address and port at which km shows the certificates itself, such as '
                        '0.0.0.0:443 or [::]:443, and does nothing else. Processes of one user can '
                        'share it. Ports below 1024 need the capability CAP_NET_BIND_SERVICE. If it is '
                        'not set, another server has to show what is in the folder to who asks for '
                        'acme-tls/1 by ALPN.'))

    def open(self) -> None:
        """Remove what was left long ago; listen, if that is wanted.

        :raises Misconfigured: the folder or the address cannot be used.
        """
        self._listener: Listener | None = None
        self._folder = ProofFolder(self.settings.path)
        self._folder.require(self.name)
        for file in self._folder.old():
            if file.endswith(_SUFFIX):
                self._folder.remove(file)
        if self.settings.listen:
            self._listener = listening(self.name, self.settings.listen,
                                       acme_tls.Shower(self._found).serve, is_served=self.check)

    def present(self, challenge: Challenge) -> float:
        """Write the certificate, or wait for that of another order to be taken away.

        :raises Rejected: the identifier is neither a domain name nor an IP address.
        """
        file = _file(challenge.identifier)
        kept = self._folder.read(file)
        if kept and acme_tls.proves(kept, challenge.key_authorization):
            return 0.0
        if kept and self._folder.age(file) < _TURN_SECONDS:
            return _ASK_AGAIN_SECONDS
        made = acme_tls.certificate(challenge.identifier, challenge.key_authorization)
        if kept:
            self._folder.put(file, made)
            return 0.0
        return 0.0 if self._folder.put_first(file, made) else _ASK_AGAIN_SECONDS

    def remove(self, challenge: Challenge) -> None:
        """Remove the certificate, if it is of this challenge."""
        try:
            file = _file(challenge.identifier)
        except Rejected:
            return
        if acme_tls.proves(self._folder.read(file) or b'', challenge.key_authorization):
            self._folder.remove(file)

    def check(self) -> str:
        """Make a proof, have it shown as an authority would, and remove it."""
        name, proof = f'km-check-{secrets.token_hex(8)}.invalid', secrets.token_urlsafe(32)
        self._folder.put(name + _SUFFIX, acme_tls.certificate(name, proof))
        try:
            found = self._shown(name) if self.settings.listen else self._folder.read(name + _SUFFIX)
        finally:
            self._folder.remove(name + _SUFFIX)
        if not acme_tls.proves(found or b'', proof):
            raise Unavailable(f'{self.settings.listen} does not show what is in {self._folder.path}.')
        shown = f'shown at {self.settings.listen}' if self.settings.listen else 'for another server'
        return f'{len(self._folder.names())} proofs in {self._folder.path}, {shown}'

    def close(self) -> None:
        """Listen no more."""
        if self._listener:
            self._listener.close()

    def _found(self, name: str) -> Path | None:
        path = self._folder.path / (name + _SUFFIX)
        return path if path.is_file() else None

    def _shown(self, name: str) -> bytes:
        try:
            der = acme_tls.shown_at(reachable(address(self.settings.listen)), name, CONNECTION_SECONDS)
            return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
        except (OSError, ValueError):
            raise Unavailable(f'{self.settings.listen} shows no certificate for acme-tls/1.') from None


def _file(identifier: str) -> str:
    try:
        return acme_tls.server_name(identifier) + _SUFFIX
    except ValueError:
        raise Rejected(f"tls-alpn-01 proves domain names and IP addresses, which '{identifier}' "
                       'is not.') from None
