# SPDX-License-Identifier: Apache-2.0
"""Every failure km tells anyone about: a kind and a sentence that is safe to show.

A sentence never holds a payload, a key, a password or a connection URL: it goes to clients and logs
alike. There is no HTTP here; ``km.api.faults`` knows which kind answers with which status.
"""


class KmError(Exception):
    """A failure with a sentence for the person who asked.

    :param sentence: one English sentence, safe for clients and logs.
    """

    def __init__(self, sentence: str):
        super().__init__(sentence)
        self.sentence = sentence


class Unauthenticated(KmError):
    """Nobody knows who asks.

    :param challenge: how to say who one is, in the form of a WWW-Authenticate header.
    """

    def __init__(self, sentence: str, challenge: str | None = None):
        super().__init__(sentence)
        self.challenge = challenge


class NotFound(KmError):
    """What was named does not exist, or does not exist any more."""


class Forbidden(KmError):
    """The rules do not let this identity do this to this target."""


class Conflict(KmError):
    """The thing is there, but its state does not allow what was asked."""


class QuotaExceeded(KmError):
    """The project has as many of these as it may have."""


class Invalid(KmError):
    """The request can never succeed as it was written."""


class Malformed(KmError):
    """The request could not even be read."""


class TooLarge(KmError):
    """More bytes than km is configured to take."""


class Rejected(KmError):
    """A backend refused for good: too long, of the wrong kind, against its rules."""


class NotSupported(KmError):
    """A backend has no such ability."""


class Unavailable(KmError):
    """A backend cannot answer now; the same request may succeed later.

    :param retry_after_seconds: when, if the backend said so. It does not travel to other processes.
    """

    def __init__(self, sentence: str, retry_after_seconds: float | None = None):
        super().__init__(sentence)
        self.retry_after_seconds = retry_after_seconds


class CannotOpen(KmError):
    """What a store kept does not open: altered, swapped, rolled back, or under a key km has not."""


class Misconfigured(KmError):
    """The operator's configuration cannot work; the sentence names section and option."""


class Unexpected(KmError):
    """A bug, ours or a plugin's. The trace is in the log; the sentence says nothing of it."""


BY_KIND = {cls.__name__: cls for cls in (
    Unauthenticated, NotFound, Forbidden, Conflict, QuotaExceeded, Invalid, Malformed, TooLarge,
    Rejected, NotSupported, Unavailable, CannotOpen, Misconfigured, Unexpected)}


def kind_of(error: KmError) -> str:
    """The name under which ``of_kind`` finds an error's kind: its own, or that of its nearest ancestor.

    A plugin may raise a subclass of its own, which no other process need know.
    """
    return next(cls.__name__ for cls in type(error).__mro__
                if BY_KIND.get(cls.__name__) is cls or cls is KmError)


def of_kind(kind: str, sentence: str) -> KmError:
    """An error told by another process, as itself; one without a kind is ``Unexpected``."""
    return BY_KIND.get(kind, Unexpected)(sentence)
