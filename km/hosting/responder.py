# SPDX-License-Identifier: Apache-2.0
"""A challenge responder as the house has it."""
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from km.hosting.guest import Guest, is_text
from km.interfaces import Challenge, ChallengeResponder


class HostedResponder(Guest):
    """A challenge responder of the operator's. Its methods do what ``ChallengeResponder`` says; see
    ``Guest``."""

    what = 'challenge responder'
    guest: ChallengeResponder
    looks_right: ClassVar[Mapping[str, Callable[[Any], bool]]] = {
        'check': is_text,
        'present': lambda answer: type(answer) in (int, float) and answer >= 0,
    }

    @property
    def kind(self) -> str:
        """The kind of challenge that it answers, such as ``dns-01``."""
        return self.guest.kind

    def present(self, challenge: Challenge) -> float:
        """Put a proof there."""
        return self._call('present', challenge)

    def remove(self, challenge: Challenge) -> None:
        """Take a proof away."""
        self._call('remove', challenge)
