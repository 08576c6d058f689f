# SPDX-License-Identifier: Apache-2.0
"""``km-manage certs``: which certificates of the whole cloud end when."""
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from oslo_utils import timeutils
from sqlalchemy import Row

from km.cmd.manage.commands import add as add_command
from km.db import certificates as rows
from km.db.pages import Filter
from km.deploy import database

_PAGE = 500
_HEAD = ('DAYS LEFT', 'ENDS', 'RENEWAL', 'PROJECT', 'CONTAINER', 'SUBJECT')


def certs(asked, conf) -> None:
    """Print the certificates in use, those that end first first, as a table or as JSON."""
    metadata, now = database(conf()), timeutils.utcnow()
    try:
        found = [_told(row, now) for row in _rows(metadata, asked, now)]
    finally:
        metadata.close()
    if asked.json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
        return
    table = [_HEAD, *((str(one['days_left']), one['not_after'], one['renewal'], one['project_id'],
                       one['container_id'], one['subject']) for one in found)]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEAD) - 1)]
    for row in table:
        print('  '.join(cell.ljust(width) for cell, width in zip(row, (*widths, 0), strict=True)))


def _rows(metadata: Any, asked: Any, now: datetime) -> Iterator[Row]:
    filters = [] if asked.days is None else [
        Filter('not_after', 'lt', now + timedelta(days=asked.days))]
    offset, total = 0, 1
    while offset < total:
        with metadata.statement() as connection:
            page, total = rows.page(connection, asked.project, filters=filters, limit=_PAGE,
                                    offset=offset, order=('not_after', 'id'))
        yield from page
        offset += _PAGE


def _told(row: Row, now: datetime) -> dict[str, Any]:
    return {
        'certificate_id': row.id, 'project_id': row.project_id, 'container_id': row.container_id,
        'order_id': row.order_id, 'authority_id': row.authority_id, 'subject': row.subject,
        'names': json.loads(row.names), 'serial': row.serial, 'version': row.version,
        'not_after': row.not_after.isoformat(timespec='seconds'),
        'days_left': (row.not_after - now).days,
        'renewal': _renewal(row), 'revoked': row.revoked and row.revoked.isoformat()}


def _renewal(row: Row) -> str:
    """How it stands with the renewal of a certificate, in a word or two."""
    if row.revocation_asked:
        return 'revoked'
    if row.renewal:
        return 'under way'
    if row.renewal_failures:
        return f'failed {row.renewal_failures} times'
    return 'automatic' if row.renew_percent is not None else 'none'


def add(commands: Any) -> None:
    """Put the command into the parser."""
    parser = add_command(commands, 'certs', certs)
    parser.add_argument('--json', action='store_true', help='for programs')
    parser.add_argument('--days', type=int, help='only those that end within so many days')
    parser.add_argument('--project', help='only those of this project')
