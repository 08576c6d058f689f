# SPDX-License-Identifier: Apache-2.0
"""What an authority says instead of doing what it was asked (RFC 7807; RFC 8555, 6.7).

Only types and status codes decide what becomes of it. The text is for people, who shall see it cleaned.
"""
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from km.interfaces import KmError, Rejected, Unavailable

_URN = 'urn:ietf:params:acme:error:'
#: What may pass by itself.
_PASSING = frozenset(('rateLimited', 'serverInternal', 'connection', 'dns', 'badNonce'))
_PASSING_STATUS = frozenset((HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS))
_GONE = frozenset((HTTPStatus.NOT_FOUND, HTTPStatus.GONE))

_MOST_SUBPROBLEMS = 10
_LONGEST_TEXT, _LONGEST_SENTENCE = 300, 1000
#: Besides control characters: what turns the direction of text, and what ends a line in some places.
_UNSEEN = re.compile(r'[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]+')


class Refusal(Exception):
    """An authority did not do what it was asked.

    :param kind: the problem's type, without the prefix of ACME's own.
    :param sentence: what it said, for people.
    """

    def __init__(self, *, status: int, kind: str, sentence: str,
                 retry_after_seconds: float | None = None):
        super().__init__(sentence)
        self.status, self.kind, self.sentence = status, kind, sentence
        self.retry_after_seconds = retry_after_seconds

    @property
    def passes(self) -> bool:
        """Whether the same may be asked again later."""
        return (self.kind in _PASSING or self.status in _PASSING_STATUS or self.status < 400
                or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR)

    @property
    def says_it_is_gone(self) -> bool:
        """Whether what was asked for is not there (any more)."""
        return self.status in _GONE

    def told(self) -> KmError:
        """The error as km knows it."""
        if self.passes:
            return Unavailable(self.sentence, self.retry_after_seconds)
        return Rejected(self.sentence)


def refusal(status: int, document: Any, retry_after_seconds: float | None) -> Refusal:
    """What an HTTP answer that is no success means.

    :param document: its problem document, decoded; anything else if it had none.
    """
    if status < 400:
        sentence = f'The authority sends km elsewhere (HTTP status {status}), which km does not follow.'
        return Refusal(status=status, kind='', sentence=sentence)
    if not isinstance(document, Mapping) or 'type' not in document:
        return Refusal(status=status, kind='', retry_after_seconds=retry_after_seconds,
                       sentence=f'The authority answered with HTTP status {status}.')
    return Refusal(status=status, kind=kind_of(document), retry_after_seconds=retry_after_seconds,
                   sentence=f'The authority refuses: {described(document)}')


def kind_of(document: Mapping[str, Any]) -> str:
    """The type of a problem document, without the prefix of ACME's own."""
    return cleaned(document.get('type')).removeprefix(_URN)


def described(document: Any) -> str:
    """A problem document and those within it in one line: their details, their types, their names."""
    if not isinstance(document, Mapping):
        return 'it does not say why'
    parts = [_line(document)]
    within = document.get('subproblems')
    if isinstance(within, list):
        parts += [_line(one) for one in within[:_MOST_SUBPROBLEMS] if isinstance(one, Mapping)]
    return _shortened('; '.join(parts), _LONGEST_SENTENCE)


def cleaned(text: Any) -> str:
    """A text that came from elsewhere, short and without what people do not see."""
    if not isinstance(text, str):
        return ''
    return _shortened(' '.join(_UNSEEN.sub(' ', text).split()), _LONGEST_TEXT)


def _line(document: Mapping[str, Any]) -> str:
    identifier = document.get('identifier')
    name = cleaned(identifier.get('value')) if isinstance(identifier, Mapping) else ''
    detail = cleaned(document.get('detail')) or cleaned(document.get('title')) or 'no details'
    kind = kind_of(document) or 'no type'
    return f'{name}: {detail} ({kind})' if name else f'{detail} ({kind})'


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most - 3] + '...'
