# SPDX-License-Identifier: Apache-2.0
"""Asking EJBCA: who km says it is, and what each status means before anybody looks at the answer."""
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

from km.plugins.certificate_authority.ejbca import failures, wire
from km.plugins.certificate_authority.ejbca.options import EjbcaSettings
from km.plugins.certificate_authority.ejbca.tokens import Tokens

_MOST_BYTES = 2 ** 20

_DONE = {200, 201, 204}
_WAITING = 202
#: Statuses by which EJBCA says no to what was asked, and not to who asks or that it cannot.
_NO = {400, 404, 409, 413, 422}


@dataclass(frozen=True, slots=True)
class Answer:
    """What EJBCA answered: that it did something, that it will not, or that people must approve it.

    :param content: the body.
    :param message: if it will not, why, fit to be shown.
    """

    status: int
    content: bytes
    message: str = ''

    @property
    def done(self) -> bool:
        """Whether EJBCA did what it was asked."""
        return self.status in _DONE

    @property
    def waiting(self) -> bool:
        """Whether people must approve it first."""
        return self.status == _WAITING

    def fields(self) -> dict[str, Any]:
        """The body as the JSON object it should be; empty if it is none."""
        return _object(self.content)


class Connection:
    """Asks one EJBCA."""

    def __init__(self, settings: EjbcaSettings):
        """Connect to nothing yet."""
        self._settings, self.name = settings, settings.name
        certificate = (settings.client_certificate_file, settings.client_key_file)
        self._session = wire.session(settings.ca_file, certificate if settings.by_certificate else None)
        self._token_session = wire.session(settings.ca_file, None)
        self._tokens = Tokens(settings, self._token_session) if settings.by_token else None

    def ask(self, method: str, *path: str, query: Mapping[str, str] | None = None,
            body: Mapping[str, Any] | None = None, most_bytes: int = _MOST_BYTES) -> Answer:
        """Ask once.

        :param path: its parts, which may hold any characters.
        :param body: becomes JSON.
        :param most_bytes: the longest answer that is read.
        :raises NoAnswer: EJBCA did not do it for a reason that may go away.
        """
        url = '/'.join([self._settings.url, *(quote(part, safe='') for part in path)])
        reply = self._reply(requests.Request(method, url, params=query, json=body), most_bytes)
        if reply.status in (*_DONE, _WAITING):
            return Answer(reply.status, reply.content)
        said = _object(reply.content)
        message = failures.cleaned(said.get('error_message'))
        if reply.status == 401 and self._tokens is not None:
            raise self.no_answer(failures.NO_TOKEN)
        if reply.status in (401, 403):
            raise self.no_answer(failures.with_message(failures.FORBIDDEN, message))
        if 300 <= reply.status < 400:
            raise self.no_answer(failures.REDIRECTS)
        if reply.status not in _NO:
            raise self.no_answer(failures.with_message(
                f'{failures.FAILED} with status {reply.status}', message))
        if said.get('error_code') != reply.status:  # a proxy, or another server
            raise self.no_answer(failures.NOT_EJBCA)
        return Answer(reply.status, reply.content, message)

    def no_answer(self, operators: str) -> failures.NoAnswer:
        """An error to raise, which operators can read in the log."""
        return failures.no_answer(self.name, operators)

    def not_ejbca(self) -> failures.NoAnswer:
        """An error to raise about an answer that is not as EJBCA's are."""
        return self.no_answer(failures.NOT_EJBCA)

    def close(self) -> None:
        """Let go of all connections."""
        self._session.close()
        self._token_session.close()

    def _reply(self, request: requests.Request, most_bytes: int) -> wire.Reply:
        if self._tokens is None:
            return self._sent(request, most_bytes)
        token = self._tokens.bearer()
        reply = self._sent(request, most_bytes, token)
        if reply.status == 401:  # nothing was done, so it can be asked again
            self._tokens.forget(token)
            reply = self._sent(request, most_bytes, self._tokens.bearer())
        return reply

    def _sent(self, request: requests.Request, most_bytes: int, token: str | None = None) -> wire.Reply:
        if token is not None:
            request.headers = {'Authorization': f'Bearer {token}'}
        return wire.send(self._session, request, name=self.name, most_bytes=most_bytes,
                         seconds=self._settings.http_timeout_seconds)


def _object(content: bytes) -> dict[str, Any]:
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
