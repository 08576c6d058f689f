# SPDX-License-Identifier: Apache-2.0
"""Bearer tokens for client credentials: OAuth 2.0, RFC 6749, 4.4."""
import json
import re
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

import requests

from km.interfaces import Misconfigured
from km.plugins.certificate_authority.ejbca import failures
from km.plugins.certificate_authority.ejbca.options import EjbcaSettings
from km.plugins.certificate_authority.ejbca.wire import Reply, send

#: A token is not used any more so long before it ends; it takes time to get to where it is looked at.
_MARGIN_SECONDS = 10
#: How long a token is kept that does not say when it ends.
_USUAL_SECONDS = 60
_MOST_BYTES = 65536
_TOKEN = re.compile(r'[A-Za-z0-9._~+/-]+=*')  # RFC 6750, 2.1


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    until: float


class Tokens:
    """The token by which EJBCA knows km, fetched when there is none that holds."""

    def __init__(self, settings: EjbcaSettings, session: requests.Session):
        """Fetch nothing yet.

        :param session: what to ask ``token_url`` with.
        """
        self._settings, self._session = settings, session
        self._lock = threading.Lock()
        self._kept: _Token | None = None

    def bearer(self) -> str:
        """A token.

        :raises NoAnswer: there is none to be had.
        """
        with self._lock:
            if self._kept is None or self._kept.until <= time.monotonic():
                self._kept = self._fetched()
            return self._kept.text

    def forget(self, token: str) -> None:
        """Fetch another one next time, in place of one that was refused."""
        with self._lock:
            if self._kept is not None and self._kept.text == token:
                self._kept = None

    def _fetched(self) -> _Token:
        reply = self._asked()
        if reply.status in (400, 401, 403):
            raise self._nothing(f'{failures.TOKEN_REFUSED} (status {reply.status}).')
        if reply.status != 200:
            raise self._nothing(failures.TOKEN_SILENT)
        return self._read(reply.content)

    def _asked(self) -> Reply:
        settings = self._settings
        form = {'grant_type': 'client_credentials'}
        if settings.token_scope:
            form['scope'] = settings.token_scope
        try:
            # RFC 6749, 2.3.1: both are encoded as in a form before they are told as Basic has them.
            who = requests.auth.HTTPBasicAuth(
                quote_plus(settings.client_id), quote_plus(settings.client_secret()))
        except Misconfigured as error:
            raise self._nothing(error.sentence) from None
        return send(self._session, requests.Request('POST', settings.token_url, data=form, auth=who),
                    name=settings.name, seconds=settings.http_timeout_seconds, most_bytes=_MOST_BYTES)

    def _read(self, content: bytes) -> _Token:
        try:
            told: dict[str, Any] = json.loads(content)
            text, seconds = told['access_token'], float(told.get('expires_in', _USUAL_SECONDS))
            good = told['token_type'].lower() == 'bearer' and _TOKEN.fullmatch(text) and seconds >= 0
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            good = None
        if not good:
            raise self._nothing(failures.TOKEN_SILENT)
        return _Token(text, time.monotonic() + seconds - _MARGIN_SECONDS)

    def _nothing(self, operators: str) -> failures.NoAnswer:
        return failures.no_answer(self._settings.name, operators)
