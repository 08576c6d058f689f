# SPDX-License-Identifier: Apache-2.0
"""Asking the service over HTTP, and saying what it said when it refused."""
import uuid
from typing import Any

from keystoneauth1.adapter import Adapter
from keystoneauth1.identity import BaseIdentityPlugin
from osc_lib.exceptions import CommandError


class Service:
    """A service that speaks the Key Manager v1 API. Paths are below ``/v1`` and begin with a slash.

    Each method raises ``CommandError``, with the server's own description, for any status of 400 or
    more, and keystoneauth's errors when there is no answer.
    """

    def __init__(self, adapter: Adapter):
        self._adapter = adapter

    @property
    def own_project_id(self) -> str | None:
        """The project of whoever asks; None if the credentials do not tell."""
        return self._adapter.get_project_id()

    @property
    def has_keystone(self) -> bool:
        """Whether the credentials are Keystone's, so that projects have names there."""
        return isinstance(self._adapter.session.auth, BaseIdentityPlugin)

    def get(self, path: str, *, microversion: str | None = None) -> dict:
        """The JSON object at ``path``."""
        return self._ask('GET', path, microversion=microversion).json()

    def post(self, path: str, body: dict | None = None) -> dict:
        """POST a JSON object, or nothing; the one it is answered with, empty if there is none."""
        answer = self._ask('POST', path, json=body)
        return answer.json() if answer.content else {}

    def put(self, path: str, body: dict | None = None, *, microversion: str | None = None) -> None:
        """PUT a JSON object, or nothing."""
        self._ask('PUT', path, json=body, microversion=microversion)

    def delete(self, path: str) -> None:
        """DELETE what is at ``path``."""
        self._ask('DELETE', path)

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        answer = self._adapter.request(
            path, method, raise_exc=False, headers={'Accept': 'application/json'}, **request)
        if answer.status_code >= 400:
            raise CommandError(f'{_told(answer)} (HTTP {answer.status_code})')
        return answer


def id_of(reference: str) -> str:
    """The id in a reference, which is a URL or the bare id.

    :raises CommandError: it is neither.
    """
    try:
        return str(uuid.UUID(reference.rstrip('/').rpartition('/')[2]))
    except ValueError:
        raise CommandError(f"'{reference}' is neither a reference nor an id.") from None


def _told(answer: Any) -> str:
    """What an error response says to a person; some, such as a proxy's, are not JSON."""
    try:
        told = answer.json()
        return told['description'] or told['title']
    except (ValueError, KeyError, TypeError):
        return answer.reason or 'The request failed.'
