# SPDX-License-Identifier: Apache-2.0
"""Payloads wrapped with a transport key, by the very commands that the documentation shows."""
import json
import os
import re
import subprocess
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.functional.assertions import assert_refused, with_keystone
from tests.functional.km_server import environment, new_text, program

PAGE = Path(__file__).parents[2] / 'doc/source/api/transport_keys.rst'
BLOCK = re.compile(
    r'^\.\. code-block:: (\w+)\n(?:   :caption: ([\w.]+)\n)?\n((?:   .*\n|\n)+)', re.MULTILINE)


def blocks():
    """The code on the page: language, file name or nothing, text."""
    return [(language, name, textwrap.dedent(text))
            for language, name, text in BLOCK.findall(PAGE.read_text())]


@pytest.fixture
def printed(km, tmp_path):
    """What the commands of the page print, run in their order on a payload of ours; and the payload."""
    payload = km.hide(new_text())
    (tmp_path / 'secret.txt').write_text(payload)
    (tmp_path / 'auth').write_text(''.join(
        f'{name}: {value}\n' for name, value in km.credentials().items()))
    for _, name, text in blocks():
        if name:
            (tmp_path / name).write_text(text)
    script = '\n'.join(text for language, _, text in blocks() if language == 'bash')
    done = subprocess.run(
        ['bash', '-euo', 'pipefail', '-c', script], cwd=tmp_path, capture_output=True, text=True,
        env=environment(KM=km.url, PATH=os.path.dirname(program('km-api')) + ':' + os.environ['PATH']))
    assert done.returncode == 0, done.stderr
    return payload, done.stdout


def test_the_commands_of_the_documentation_store_what_was_wrapped(km, printed):
    payload, told = printed
    found = {}
    for ref in re.findall(r'"secret_ref": ?"([^"]+)"', told):
        found[km.get(ref).json()['name']] = km.get(ref + '/payload').text
    assert found == dict.fromkeys(
        ('as a JWE', 'as a block', 'with the older padding', 'later'), payload)


def test_the_private_half_is_in_neither_database_and_goes_with_the_key(km):
    admin = 'alpha-admin' if km.keystone else 'alpha-member'
    ref = km.get('/v1/transport_key').json()['transport_key_ref']
    key_id = ref.rpartition('/')[2]
    with km.metadata.connect() as connection:
        row = connection.execute(
            sa.text('SELECT * FROM transport_keys WHERE id = :id'), {'id': key_id}).one()
    assert 'PRIVATE' not in json.dumps([str(value) for value in row])
    assert km.kept(key_id) == 1
    assert km.delete(ref, who=admin).status_code == 204
    assert km.kept(key_id) == 0
    assert_refused(km.delete(ref, who=admin), 404)
    assert km.get('/v1/transport_key').json()['transport_key_ref'] != ref


@with_keystone
def test_a_member_cannot_take_a_transport_key_away(km):
    assert_refused(km.delete(km.get('/v1/transport_key').json()['transport_key_ref']), 403)


def test_all_who_ask_at_once_get_the_same_key(km):
    with km.metadata.begin() as connection:  # as if nobody had asked before
        connection.execute(sa.text('UPDATE transport_keys SET is_current = NULL'))
    with ThreadPoolExecutor(8) as threads:
        refs = set(threads.map(
            lambda _: km.get('/v1/transport_key').json()['transport_key_ref'], range(8)))
    assert len(refs) == 1


def test_what_does_not_open_is_refused_and_tells_nothing(km):
    key_id = km.get('/v1/transport_key').json()['transport_key_ref'].rpartition('/')[2]
    path = km.secret(None)
    for body in (os.urandom(384), bytes(384), b'x', b'a.b.c.d.e'):
        refused = km.put(path, body=body, params={'transport_key_id': key_id},
                         Content_Type='application/octet-stream')
        assert_refused(refused, 400)
        assert 'does not open' in refused.json()['description']

