# SPDX-License-Identifier: Apache-2.0
"""The things that actions are about: how to fetch one, and what the rules see of it."""
import re
from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from km.db import authorities, certificates, containers, orders, secrets
from km.db.models import CONTAINER, SECRET
from km.errors import NotFound
from km.identity import Identity

#: What a rule sees of the thing an action is about; empty where there is none yet.
Target = Mapping[str, object]

NOTHING: Target = {}

#: What an authority issued.
CERTIFICATE = 'certificate'
#: A certificate authority, as the API has always called it.
CA = 'ca'

#: Version 4, lower case, dashed: what km hands out, and so all it can know.
_UUID = re.compile(r'[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z')


def kind_of(names: Mapping[str, object]) -> str | None:
    """The kind of thing that one of ``names`` is the id of, such as 'secret' of 'secret_id'."""
    return next((kind for kind in _FETCH if f'{kind}_id' in names), None)


def fetch(connection: sa.Connection, kind: str, object_id: str, *, identity: Identity, now: datetime,
          whole: bool) -> sa.Row:
    """The row of a thing, with what it takes to decide about it.

    :param whole: with all there is to show of a secret.
    :raises NotFound: there is no such thing, for anybody or, if it is an order, for this project.
    """
    return _FETCH[kind](connection, object_id, identity, now, whole)


def described(kind: str, row: sa.Row) -> Target:
    """A thing, as the rules see it."""
    if kind == CA:
        return {'target.ca.project_id': row.project_id or '',
                'target.ca.is_shared': row.project_id is None}
    if kind not in (SECRET, CONTAINER):
        return {f'target.{kind}.project_id': row.project_id}
    return {
        f'target.{kind}.project_id': row.project_id,
        f'target.{kind}.creator_id': row.creator_id or '',
        f'target.{kind}.read_project_access': bool(row.project_access),
        f'target.{kind}.read': 'read' if row.read_by_acl else ''}


def _secret(connection, secret_id: str, identity: Identity, now: datetime, whole: bool) -> sa.Row:
    if not _UUID.match(secret_id):
        raise NotFound('Provided secret id is invalid.')
    row = secrets.get(connection, secret_id, reader=identity.user_id, now=now, whole=whole)
    if row is None:
        raise NotFound('Secret not found.')
    return row


def _container(connection, container_id: str, identity: Identity, _now, _whole) -> sa.Row:
    if not _UUID.match(container_id):
        raise NotFound('Provided container id is invalid.')
    row = containers.get(connection, container_id, reader=identity.user_id)
    if row is None:
        raise NotFound('Secrets container not found.')
    return row


def _order(connection, order_id: str, identity: Identity, _now, _whole) -> sa.Row:
    row = orders.get(connection, order_id, project_id=identity.project_id)
    if row is None:
        raise NotFound('Order not found.')
    return row


def _authority(connection, ca_id: str, _identity, _now, _whole) -> sa.Row:
    row = authorities.get(connection, ca_id)
    if row is None:
        raise NotFound('CA not found.')
    return row


def _certificate(connection, certificate_id: str, identity: Identity, _now, _whole) -> sa.Row:
    row = certificates.get(connection, certificate_id)
    if row is None or row.project_id != identity.project_id:
        raise NotFound('Certificate not found.')
    return row


_FETCH = {SECRET: _secret, CONTAINER: _container, CERTIFICATE: _certificate, 'order': _order,
          CA: _authority}
