# SPDX-License-Identifier: Apache-2.0
"""The proof of http-01 (RFC 8555, 8.3): a page that whoever has the name's web server can put there."""
import http.client
import re
import secrets
import socket

from oslo_config import cfg

from km.interfaces import Challenge, ChallengeResponder, Rejected, Unavailable
from km.plugins.challenge_responder import http_serving
from km.plugins.challenge_responder.complaints import address, misconfigured
from km.plugins.challenge_responder.listening import (
    CONNECTION_SECONDS,
    Listener,
    listening,
    reachable,
)
from km.plugins.challenge_responder.proof_folder import ProofFolder

_PROOF = re.compile(r'([A-Za-z0-9_-]{1,255})\.[A-Za-z0-9_-]{1,255}')


class Http01(ChallengeResponder):
    """Puts pages into a folder, and serves them if it is told to."""

    kind = 'http-01'
    options = (
        cfg.StrOpt('path', required=True,
                   help='The folder for the proofs, a file each, by the name that the authority asks '
                        'for. The web server of each name, at port 80, must give what is in it below '
                        'http://NAME/.well-known/acme-challenge/; a plain http redirect to another host '
                        'will do. Only the user km runs as may write to it.'),
        cfg.StrOpt('mode', default='0644',
                   help='The permissions of each file, octal: the web server must be able to read it.'),
        cfg.StrOpt('listen',
                   help='An address and port at which km serves the folder itself, such as 0.0.0.0:80 '
                        'or [::]:80, and nothing else. Processes of one user can share it. Ports below '
                        '1024 need the capability CAP_NET_BIND_SERVICE. If it is not set, another web '
                        'server has to serve the folder.'))

    def open(self) -> None:
        """Remove what was left long ago; listen, if that is wanted.

        :raises Misconfigured: the folder, the mode or the address cannot be used.
        """
        self._listener: Listener | None = None
        if not re.fullmatch('0?[0-7]{3}', self.settings.mode):
            raise misconfigured(self.name, 'mode', f"'{self.settings.mode}' is no mode, as 0644 is")
        self._folder = ProofFolder(self.settings.path, mode=int(self.settings.mode, 8))
        self._folder.require(self.name)
        for name in self._folder.old():
            if self._content(name):
                self._folder.remove(name)
        if self.settings.listen:
            self._listener = listening(
                self.name, self.settings.listen, lambda connection, deadline: http_serving.serve(
                    connection, deadline, self._served), is_served=self.check)

    def present(self, challenge: Challenge) -> float:
        """Write the file.

        :raises Rejected: the token is no token, or the key authorisation is not of it.
        """
        proof = _PROOF.fullmatch(challenge.key_authorization)
        if not proof or proof[1] != challenge.token:
            raise Rejected('The authority gave a token that is none (RFC 8555, 8.3).')
        self._folder.put(challenge.token, challenge.key_authorization.encode('ascii'))
        return 0.0

    def remove(self, challenge: Challenge) -> None:
        """Remove the file."""
        if http_serving.TOKEN.fullmatch(challenge.token):
            self._folder.remove(challenge.token)

    def check(self) -> str:
        """Write a proof, read it as an authority would, and remove it."""
        token = f'km-check-{secrets.token_urlsafe(16)}'
        content = f'{token}.{secrets.token_urlsafe(32)}'.encode('ascii')
        self._folder.put(token, content)
        try:
            found = self._fetched(token) if self.settings.listen else self._folder.read(token)
        finally:
            self._folder.remove(token)
        if found != content:
            raise Unavailable(f'{self.settings.listen} does not serve what is in {self._folder.path}.')
        served = f'served at {self.settings.listen}' if self.settings.listen else 'for another server'
        return f'{len(self._folder.names())} proofs in {self._folder.path}, {served}'

    def close(self) -> None:
        """Listen no more."""
        if self._listener:
            self._listener.close()

    def _served(self, token: str) -> bytes | None:
        try:
            return self._content(token)
        except Unavailable:
            return None

    def _content(self, token: str) -> bytes | None:
        """The proof in a file; None if it holds none: another program may use the folder too."""
        content = self._folder.read(token)
        proof = _PROOF.fullmatch((content or b'').decode('ascii', 'replace'))
        return content if proof and proof[1] == token else None

    def _fetched(self, token: str) -> bytes | None:
        host, port = reachable(address(self.settings.listen))
        connection = http.client.HTTPConnection(host, port, timeout=CONNECTION_SECONDS)
        try:
            connection.request('GET', f'{http_serving.PATH}{token}')
            return connection.getresponse().read(1024)
        except (OSError, http.client.HTTPException) as error:
            problem = 'in time' if isinstance(error, socket.timeout) else 'as a web server does'
            raise Unavailable(f'{self.settings.listen} does not answer {problem}.') from None
        finally:
            connection.close()
