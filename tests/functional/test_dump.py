# SPDX-License-Identifier: Apache-2.0
"""What the databases hold, and what becomes of a secret when somebody tampers with them."""
import base64
import binascii
import os
import re
import secrets

import pytest
import sqlalchemy as sa

from tests.functional.assertions import with_ciphertext
from tests.functional.km_server import new_text

RUN = 8
# "blob" is a word of MariaDB's language, which SQLAlchemy quotes.
BLOBS = sa.table('blobs', *map(sa.column, ('secret_id', 'version', 'blob')))
OF_SECRET = BLOBS.c.secret_id == sa.bindparam('id')
BLOB = sa.select(BLOBS.c.blob).where(OF_SECRET)
VERSION = sa.select(BLOBS.c.version).where(OF_SECRET)
PUT_BLOB = BLOBS.update().where(OF_SECRET).values(blob=sa.bindparam('sealed'))
PUT_VERSION = BLOBS.update().where(OF_SECRET).values(version=sa.bindparam('other'))


def dump(km):
    """All bytes of the metadata database, and all of the store's."""
    found = []
    for engine in (km.metadata, km.ciphertext):
        if km.databases:
            found.append(km.databases.dump(engine.url.database))
        else:
            files = sorted(km.conf.parent.glob(os.path.basename(engine.url.database) + '*'))
            assert files
            found.append(b''.join(file.read_bytes() for file in files))
    return found


def runs(data):
    """Every run of eight bytes in ``data``."""
    return {data[start:start + RUN] for start in range(len(data) - RUN + 1)}


def hidden_runs(dumped):
    """Every run of eight bytes in a dump, as it is and undone from hexadecimal and base64."""
    found = runs(dumped)
    for text in re.findall(rb'[0-9a-fA-F]{16,}', dumped):
        for start in (0, 1):
            found |= runs(binascii.unhexlify(text[start:start + (len(text) - start) // 2 * 2]))
    for text in re.findall(rb'[A-Za-z0-9+/_-]{11,}', dumped):
        standard = text.translate(bytes.maketrans(b'-_', b'+/'))
        for start in range(4):
            whole = standard[start:start + (len(standard) - start) // 4 * 4]
            found |= runs(base64.b64decode(whole))
    return found


@with_ciphertext
def test_a_dump_of_the_metadata_holds_no_payload_no_ciphertext_and_no_key(km):
    # Not a text like other tests have: some of those are names, which are metadata.
    payloads = [secrets.token_hex(16).encode(), os.urandom(32), os.urandom(3000)]
    ids = [id_of(km.secret(payload)) for payload in payloads]
    with km.ciphertext.connect() as connection:
        blobs = [connection.scalar(BLOB, {'id': id_}) for id_ in ids]
        keys = connection.scalars(sa.text('SELECT wrapped FROM project_keys')).all()
    assert keys
    metadata, ciphertext = dump(km)
    assert all(id_.encode() in metadata for id_ in ids)
    there, elsewhere = hidden_runs(metadata), hidden_runs(ciphertext)
    for secret in map(bytes, (*blobs, *keys)):
        assert runs(secret) <= elsewhere, 'this test does not recognize a ciphertext'
        assert not runs(secret) & there
    for payload in payloads:
        assert not runs(payload) & there
        assert not runs(payload) & elsewhere


@pytest.fixture
def stored(km):
    """A secret's path, its payload, and means to change its row in the store."""
    payload = new_text()
    return Stored(km, km.secret(payload), payload)


class Stored:
    """A secret, and its row in the store."""

    def __init__(self, km, path, payload):
        self.km, self.path, self.payload, self.id = km, path, payload, id_of(path)
        self.blob = bytes(self.run(BLOB).scalar())

    def run(self, statement, **values):
        with self.km.ciphertext.connect() as connection:
            result = connection.execute(statement, {'id': self.id, **values})
            return result.freeze()() if result.returns_rows else result

    def reads(self):
        """Whether it is read as it was stored; if it is not, the answer tells nothing."""
        found = []
        for rest, accept in (('/payload', 'text/plain'), ('', 'application/octet-stream')):
            answer = self.km.get(self.path + rest, Accept=accept)
            if answer.status_code < 400:
                assert answer.text == self.payload
            else:
                assert set(answer.json()) == {'code', 'title', 'description'}
                assert self.payload not in answer.text
            found.append(answer.status_code < 400)
        assert found[0] == found[1]
        return found[0]


def id_of(path):
    return path.rpartition('/')[2]


@with_ciphertext
def test_a_flipped_byte_anywhere_in_a_blob_is_found_out(stored):
    for position in range(len(stored.blob)):
        flipped = bytearray(stored.blob)
        flipped[position] ^= 1 << position % 8
        stored.run(PUT_BLOB, sealed=bytes(flipped))
        assert not stored.reads(), position
    stored.run(PUT_BLOB, sealed=stored.blob)
    assert stored.reads()


@with_ciphertext
def test_a_blob_cut_short_or_grown_is_found_out(stored):
    size = len(stored.blob)
    for changed in (*(stored.blob[:length] for length in (0, 1, 4, 9, 80, 96, 97, size - 16, size - 1)),
                    stored.blob[1:], stored.blob + b'\0', stored.blob * 2, b'\0' * size):
        stored.run(PUT_BLOB, sealed=changed)
        assert not stored.reads(), changed
    stored.run(PUT_BLOB, sealed=stored.blob)
    assert stored.reads()


@with_ciphertext
def test_blobs_in_each_others_rows_are_found_out(km, stored):
    assert_not_interchangeable(km, stored, 'alpha-member')


@pytest.mark.parametrize('km', ['keystone', 'mariadb', 'pkcs11'], indirect=True, scope='session')
def test_blobs_of_two_projects_in_each_others_rows_are_found_out(km, stored):
    assert_not_interchangeable(km, stored, 'beta-member')


def assert_not_interchangeable(km, stored, who):
    """A secret, and another that ``who`` makes, do not open with each other's blob."""
    other = Stored(km, km.secret(stored.payload, who=who), stored.payload)
    stored.run(PUT_BLOB, sealed=other.blob)
    other.run(PUT_BLOB, sealed=stored.blob)
    assert not stored.reads()
    assert km.get(other.path + '/payload', who=who).status_code >= 400
    stored.run(PUT_BLOB, sealed=stored.blob)
    other.run(PUT_BLOB, sealed=other.blob)
    assert stored.reads()
    assert km.get(other.path + '/payload', who=who).text == stored.payload


@with_ciphertext
def test_another_version_number_is_found_out(stored):
    version = stored.run(VERSION).scalar()
    for other in (version + 1, 0, -version):
        stored.run(PUT_VERSION, other=other)
        assert not stored.reads()
    stored.run(PUT_VERSION, other=version)
    assert stored.reads()


@with_ciphertext
def test_a_blob_that_is_gone_is_not_made_up(km, stored):
    version = stored.run(VERSION).scalar()
    stored.run(BLOBS.delete().where(OF_SECRET))
    assert not stored.reads()
    assert km.get(stored.path).status_code == 200
    stored.run(BLOBS.insert().values(
        secret_id=stored.id, version=version, blob=stored.blob))
    assert stored.reads()


@with_ciphertext
def test_a_secret_moved_to_another_project_in_the_metadata_does_not_open(km, stored):
    with km.metadata.begin() as connection:
        move = sa.text('UPDATE secrets SET project_id = :project WHERE id = :id')
        mine = connection.scalar(sa.text('SELECT project_id FROM secrets WHERE id = :id'),
                                 {'id': stored.id})
        connection.execute(move, {'id': stored.id, 'project': 'elsewhere'})
    with km.metadata.begin() as connection:
        connection.execute(
            sa.text('INSERT INTO acl_users (kind, object_id, user_id) VALUES (:kind, :id, :user)'),
            {'kind': 'secret', 'id': stored.id, 'user': km.user_id()})
    assert km.get(stored.path).status_code == 200
    assert not stored.reads()
    with km.metadata.begin() as connection:
        connection.execute(move, {'id': stored.id, 'project': mine})
    assert stored.reads()
