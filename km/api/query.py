# SPDX-License-Identifier: Apache-2.0
"""Query strings: paging, filters and sorting, and the links to the pages before and after."""
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from km.api import schemas
from km.db.pages import Filter
from km.errors import Malformed

_INTEGER = re.compile(r'[+-]?[0-9]{1,4000}\Z')  # Python reads no longer ones
_DIGITS = re.compile(r'[0-9]+\Z')
_MAX_OFFSET = 2 ** 31 - 1
_MAX_BITS = 32767
_OPERATORS = frozenset(('gt', 'gte', 'lt', 'lte'))
#: Operators that say two things of one end, or one thing twice.
_EXCLUSIVE = ({'gt', 'gte', 'eq'}, {'lt', 'lte', 'eq'})

#: How parameters look, for who describes them. What is no number counts as not given.
PAGING = {
    'limit': {'description': 'How many at the most; 0 counts as 1.', 'anyOf': [
        {'type': 'integer', 'minimum': 0}, {'type': 'string', 'pattern': '^(?!-[0-9]+$)'}]},
    'offset': {'type': ['integer', 'string'], 'description': 'How many to leave out before.'},
}
NAME_LIKE = {'type': 'string', 'description': 'Equal to this; "%" stands for any text.'}
BITS = {'anyOf': [{'type': 'integer', 'minimum': 1, 'maximum': _MAX_BITS},
                  {'type': 'string', 'pattern': '^(?![0-9]+$)'}]}
BOOLEAN = {'anyOf': [{'type': 'boolean'}, {'enum': ['1', '0']}]}
TIMES = {'type': 'string', 'format': 'times', 'description': (
    'A list like "gt:2030-01-01,lte:2031-01-01T12:00:00" with gt, gte, lt and lte; or one time.')}


def ordering(keys: Iterable[str]) -> schemas.Schema:
    """How a parameter looks that says how to sort."""
    one = f'({"|".join(sorted(keys))})(:(asc|desc))?'
    return {'type': 'string', 'pattern': f'^({one}(,{one})*)?$', 'format': 'ordering',
            'description': 'A list like "name,created:desc", no key twice.'}


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted."""

    limit: int
    offset: int

    def links(self, url: str, query: dict[str, str], total: int) -> dict[str, str]:
        """``next`` and ``previous``, where there are such pages, with the filters kept."""
        found = {}
        if self.offset + self.limit < total:
            found['next'] = self._link(url, query, self.offset + self.limit)
        if self.offset > 0:
            found['previous'] = self._link(url, query, max(0, self.offset - self.limit))
        return found

    def _link(self, url: str, query: dict[str, str], offset: int) -> str:
        return f'{url}?{urlencode({**query, "limit": self.limit, "offset": offset})}'


def read(environ: dict[str, Any]) -> dict[str, str]:
    """The parameters of a request.

    :raises Malformed: one is given twice, or is not UTF-8 text.
    """
    try:
        pairs = parse_qsl(environ.get('QUERY_STRING', ''), keep_blank_values=True,
                          errors='strict', max_num_fields=100)
    except ValueError:
        raise bad() from None
    found = dict(pairs)
    if len(found) != len(pairs) or any('\x00' in name + value for name, value in pairs):
        raise bad()
    return found


def page(query: dict[str, str], *, default: int, most: int) -> Page:
    """The page asked for. What is no number counts as not given; a limit is cut to ``most``.

    :raises Malformed: the limit is negative. (0 is what clients ask a total with.)
    """
    limit, offset = _integer(query.get('limit')), _integer(query.get('offset'))
    if limit is not None and limit < 0:
        raise bad()
    if offset is None or not 0 <= offset <= _MAX_OFFSET:
        offset = 0
    return Page(default if limit is None else min(max(limit, 1), most), offset)


def text(column: str, wanted: str) -> Filter:
    """Equality; with a ``%`` in it, which stands for any text, likeness."""
    if '%' not in wanted:
        return Filter(column, 'eq', wanted)
    return Filter(column, 'like', wanted.replace('\\', '\\\\').replace('_', '\\_'))


def bits(wanted: str) -> list[Filter]:
    """Equality with an integer; nothing if it is no number.

    :raises Malformed: no key has so many bits.
    """
    if not _DIGITS.match(wanted):
        return []
    if len(wanted) > len(str(_MAX_BITS)) or not 1 <= int(wanted) <= _MAX_BITS:
        raise bad()
    return [Filter('bit_length', 'eq', int(wanted))]


def times(column: str, wanted: str) -> list[Filter]:
    """A list like ``gt:2030-01-01,lte:2031-01-01``; a date alone means equality.

    :raises Malformed: a date or operator is wrong, or two of them cannot go together.
    """
    found: dict[str, Filter] = {}
    for part in wanted.split(','):
        operator, colon, date = part.partition(':')
        if not colon or operator not in _OPERATORS:
            operator, date = 'eq', part
        if operator in found:
            raise bad()
        try:
            found[operator] = Filter(column, operator, schemas.time(date.strip()))
        except ValueError:
            raise bad() from None
    if any(len(end & found.keys()) > 1 for end in _EXCLUSIVE):
        raise bad()
    return list(found.values())


def order(wanted: str, keys: frozenset[str]) -> list[tuple[str, bool]]:
    """A list like ``name,created:desc``, as (key, descending).

    :raises Malformed: a key or direction is unknown, or a key is given twice.
    """
    found = {}
    for part in wanted.split(','):
        key, _, direction = part.strip().partition(':')
        if key not in keys or key in found or direction not in ('', 'asc', 'desc'):
            raise bad()
        found[key] = direction == 'desc'
    return list(found.items())


def boolean(query: dict[str, str], name: str) -> bool:
    """A parameter that is true or, as when absent, false.

    :raises Malformed: it is neither.
    """
    value = query.get(name, 'false').lower()
    if value not in ('true', '1', 'false', '0'):
        raise bad()
    return value in ('true', '1')


def _integer(value: str | None) -> int | None:
    return int(value) if value is not None and _INTEGER.match(value) else None


def bad() -> Malformed:
    """What a query is told whose values are no such."""
    return Malformed('URI provided invalid query string parameters.')
