# SPDX-License-Identifier: Apache-2.0
"""Every Python block of the guide for plugin authors is a whole module, and does what the page says."""
import ast
import json
import os
import re
import textwrap
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pyrage
import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key

from km.interfaces import (
    CannotOpen,
    KeyRequest,
    NotSupported,
    PairRequest,
    SigningKeyRequest,
    SignRequest,
    StoredSecret,
    Unavailable,
)
from km.plugins.secret_store.envelope import WrappedKey
from km.testing import open_plugin
from km.testing.challenge_responder import ChallengeResponderContract
from km.testing.notifier import NotifierContract
from km.testing.secret_store import SecretStoreContract

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / 'doc/source/plugins'
EXAMPLE = ROOT / 'examples/km-age'
BLOCK = re.compile(r'\.\. code-block:: python\n\n((?:    .*\n|\n)+)')
INCLUDED = re.compile(r'\.\. literalinclude:: (\S+)\n((?:   :.*\n)*)')
PAGES = sorted(GUIDE.glob('*.rst'))


def blocks(page):
    return [textwrap.dedent(block) for block in BLOCK.findall((GUIDE / page).read_text())]


@pytest.fixture
def shown(monkeypatch):
    """The class that a page shows, by both names: its block is run as a module beside the example's."""
    monkeypatch.syspath_prepend(EXAMPLE)

    def find(page, name):
        source, = (block for block in blocks(page) if f'class {name}(' in block)
        module = {}
        exec(compile(source, f'{page}: {name}', 'exec'), module)
        return module[name]

    return find


def test_no_block_is_shown_that_is_not_tried():
    assert {(page.name, re.findall(r'^class (\w+)', block, re.MULTILINE)[-1])
            for page in PAGES for block in blocks(page.name)} == {
        ('abilities.rst', 'GeneratingStore'), ('abilities.rst', 'SigningAgeStore'),
        ('challenge_responders.rst', 'WebRoot'), ('envelope.rst', 'DeviceStore'),
        ('notifiers.rst', 'Spool'), ('transports.rst', 'UnixSocket')}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_what_a_page_includes_is_there(page):
    for path, options in INCLUDED.findall(page.read_text()):
        text = (GUIDE / path).read_text()
        for option, value in re.findall(r':([\w-]+): (.*)', options):
            if option == 'pyobject':
                owner, _, name = value.rpartition('.')
                body = ast.parse(text).body
                if owner:
                    body, = (node.body for node in body if getattr(node, 'name', None) == owner)
                assert name in [getattr(node, 'name', None) for node in body], value
            elif option != 'lines':
                assert value in text, value


class TestDeviceStore(SecretStoreContract):
    @pytest.fixture
    def settings(self, tmp_path):
        (tmp_path / 'key').write_bytes(os.urandom(64))
        return {'key_file': str(tmp_path / 'key'), 'connection': f'sqlite:///{tmp_path}/device.sqlite'}

    @pytest.fixture
    def store(self, shown, settings):
        store = open_plugin(shown('envelope.rst', 'DeviceStore'), **settings)
        yield store
        store.close()

    def test_a_key_opens_in_its_context_alone(self, store):
        wrapped = store.wrap(bytes(32), b'one project')
        assert store.unwrap(wrapped, b'one project') == bytes(32)
        for other, context in ((wrapped, b'another'),
                               (WrappedKey(key_id='else', data=wrapped.data), b'one project')):
            with pytest.raises(CannotOpen):
                store.unwrap(other, context)


class TestWebRoot(ChallengeResponderContract):
    @pytest.fixture
    def responder(self, shown, tmp_path):
        return open_plugin(shown('challenge_responders.rst', 'WebRoot'), path=str(tmp_path))

    @pytest.fixture
    def seen(self, tmp_path):
        def is_served(challenge):
            page = tmp_path / challenge.token
            return page.exists() and page.read_text() == challenge.key_authorization

        return is_served


class TestSpool(NotifierContract):
    @pytest.fixture
    def notifier(self, shown, tmp_path):
        return open_plugin(shown('notifiers.rst', 'Spool'), path=str(tmp_path))

    @pytest.fixture
    def heard(self, tmp_path):
        return lambda: [json.loads(path.read_text())['id'] for path in tmp_path.glob('*.json')]


@pytest.fixture
def settings(tmp_path):
    """Those of the example's store."""
    (tmp_path / 'secrets').mkdir(mode=0o700)
    (tmp_path / 'identity').write_text(f'{pyrage.x25519.Identity.generate()}\n')
    (tmp_path / 'identity').chmod(0o400)
    return {'folder': str(tmp_path / 'secrets'), 'identity_file': str(tmp_path / 'identity')}


def test_a_store_makes_the_keys_it_can_and_says_so_of_others(shown, settings):
    store = open_plugin(shown('abilities.rst', 'GeneratingStore'), **settings)
    asked = {'secret_id': str(uuid.uuid4()), 'project_id': 'alpha', 'bit_length': 256}
    reference = store.generate(KeyRequest(algorithm='aes', **asked))
    made = StoredSecret(secret_id=asked['secret_id'], project_id='alpha', reference=reference)
    assert len(store.retrieve(made)) == 32
    with pytest.raises(NotSupported):
        store.generate(KeyRequest(algorithm='3des', **asked))
    with pytest.raises(NotSupported):
        store.generate_pair(PairRequest(private_id='x', public_id='y', project_id='alpha',
                                        algorithm='rsa', bit_length=2048))
    store.close()


def test_a_store_signs_with_a_key_that_it_gives_to_nobody(shown, settings):
    store = open_plugin(shown('abilities.rst', 'SigningAgeStore'), **settings)
    made = store.generate_signing_key(SigningKeyRequest(
        key_id=str(uuid.uuid4()), project_id='alpha', algorithm='ed25519', bit_length=256))
    key = StoredSecret(secret_id=next(iter(store.kept(after=None, limit=1))).secret_id,
                       project_id='alpha', reference=made.reference)
    signature = store.sign(SignRequest(key=key, scheme='ed25519', data=b'a certificate'))
    load_der_public_key(made.public_key).verify(signature, b'a certificate')
    with pytest.raises(CannotOpen):
        store.retrieve(key)
    with pytest.raises(NotSupported):
        store.sign(SignRequest(key=key, scheme='rsa-pss-sha256', data=b'a certificate'))
    with pytest.raises(NotSupported):
        store.generate_signing_key(SigningKeyRequest(
            key_id='x', project_id='alpha', algorithm='rsa', bit_length=2048))
    store.delete(key)
    assert store.find(key.secret_id) is None
    store.close()


@pytest.fixture
def transport(shown, tmp_path):
    """Two ends of it, as two processes have them."""
    kind = shown('transports.rst', 'UnixSocket')
    ends = [open_plugin(kind, path=str(tmp_path / 'socket'), call_timeout_seconds=5) for _ in range(2)]
    yield SimpleNamespace(api=ends[0], worker=ends[1])
    ends[1].stop()


def test_a_message_is_handled_at_the_other_end_and_answered(transport):
    transport.worker.serve(lambda message: message[::-1])
    messages = [os.urandom(100_000) for _ in range(16)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(transport.api.call, messages)) == [told[::-1] for told in messages]


def test_a_cast_does_not_wait_for_what_comes_of_it(transport):
    go_on, handled = threading.Event(), threading.Event()
    transport.worker.serve(lambda message: go_on.wait() and bytes(handled.set() or 4))
    transport.api.cast(b'a task')
    assert not handled.is_set()
    go_on.set()
    assert handled.wait(10)


def test_without_a_worker_one_hears_so_before_it_and_after(transport):
    for _ in range(2):
        for send in (transport.api.call, transport.api.cast):
            with pytest.raises(Unavailable):
                send(b'a task')
        transport.worker.serve(lambda message: b'done')
        assert transport.api.call(b'a task') == b'done'
        transport.worker.stop()


def test_stop_lets_what_is_handled_finish(transport):
    began, go_on = threading.Event(), threading.Event()
    transport.worker.serve(lambda message: began.set() or (go_on.wait() and b'done'))
    with ThreadPoolExecutor(2) as threads:
        answer = threads.submit(transport.api.call, b'a task')
        assert began.wait(10)
        stopped = threads.submit(transport.worker.stop)
        go_on.set()
        assert answer.result(10) == b'done'
        stopped.result(10)
