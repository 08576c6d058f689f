# SPDX-License-Identifier: Apache-2.0
"""What km asks of a store whose keys can be replaced, as tests.

Subclass them beside ``SecretStoreContract``, with the same fixture ``store``.
"""
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from km.interfaces import CannotOpen, NotFound, NotSupported, StoredSecret, StoreRequest

#: Where payloads are kept, and the payloads.
Secrets = list[tuple[StoredSecret, bytes]]


class MasterKeyRotationContract:
    """Subclasses give a fixture ``store``: an open, empty store that is a ``MasterKeyRotation`` too."""

    @pytest.fixture
    def store(self) -> Iterator[Any]:
        raise NotImplementedError('give your contract suite a fixture named store')

    def test_payloads_are_there_before_during_and_after(self, store):
        secrets = _several(store, projects=5)
        _new_master_key(store)
        assert store.to_rewrap() == 5
        _require(store, secrets)
        assert store.rewrap(limit=2) == 2
        assert store.to_rewrap() == 3
        _require(store, secrets)
        while store.rewrap(limit=2):
            _require(store, secrets)
        assert store.to_rewrap() == 0
        _require(store, secrets)

    def test_what_is_new_needs_no_rewrapping(self, store):
        _new_master_key(store)
        _require(store, _several(store, projects=2))
        assert store.to_rewrap() == 0
        assert store.rewrap(limit=10) == 0

    def test_each_master_key_has_an_id_of_its_own(self, store):
        assert len({_new_master_key(store) for _ in range(3)}) == 3

    def test_a_rotation_that_was_cut_off_goes_on_even_under_a_newer_key(self, store):
        secrets = _several(store, projects=4)
        _new_master_key(store)
        assert store.rewrap(limit=1) == 1
        _new_master_key(store)
        assert store.to_rewrap() == 4
        while store.rewrap(limit=3):
            pass
        assert store.to_rewrap() == 0
        _require(store, secrets)

    def test_those_who_rewrap_at_once_do_not_get_into_each_others_way(self, store):
        secrets = _several(store, projects=10)
        _new_master_key(store)
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: _until_none(lambda: store.rewrap(limit=3)), range(4)))
        assert store.to_rewrap() == 0
        _require(store, secrets)

    def test_threads_read_and_write_meanwhile(self, store):
        secrets = _several(store, projects=4)

        def rotate() -> None:
            for _ in range(3):
                _new_master_key(store)
                _until_none(lambda: store.rewrap(limit=1))

        _while_others_work(store, secrets, rotate)


class ProjectKeyRotationContract:
    """Subclasses give a fixture ``store``: an open, empty store that is a ``ProjectKeyRotation`` too."""

    @pytest.fixture
    def store(self) -> Iterator[Any]:
        raise NotImplementedError('give your contract suite a fixture named store')

    def test_payloads_are_there_before_during_and_after_under_the_same_references(self, store):
        secrets = _several(store, projects=1, each=4)
        store.new_project_key('project 0')
        _require(store, secrets)
        for stored, _ in secrets:
            assert store.rekey(stored) is True
            _require(store, secrets)
        assert [store.rekey(stored) for stored, _ in secrets] == [False] * 4
        assert store.destroy_project_keys('project 0', newest=False) == 1
        _require(store, secrets)

    def test_a_rekeying_that_was_cut_off_goes_on_even_under_a_newer_key(self, store):
        secrets = _several(store, projects=1, each=3)
        store.new_project_key('project 0')
        assert store.rekey(secrets[0][0])
        store.new_project_key('project 0')
        assert all(store.rekey(stored) for stored, _ in secrets)
        assert store.destroy_project_keys('project 0', newest=False) == 2
        _require(store, secrets)

    def test_what_is_sealed_by_a_destroyed_key_does_not_open_and_the_rest_does(self, store):
        secrets = _several(store, projects=2)
        lost, other = (stored for stored, _ in secrets)
        store.new_project_key(lost.project_id)
        assert store.destroy_project_keys(lost.project_id, newest=False) == 1
        with pytest.raises((CannotOpen, NotFound)):
            store.retrieve(lost)
        assert store.destroy_project_keys(lost.project_id, newest=True) == 1
        assert store.destroy_project_keys(lost.project_id, newest=True) == 0
        assert store.retrieve(other) == secrets[1][1]

    def test_a_project_whose_keys_are_all_destroyed_begins_anew(self, store):
        (lost, _), = _several(store, projects=1)
        store.destroy_project_keys(lost.project_id, newest=True)
        _require(store, _several(store, projects=1))
        with pytest.raises((CannotOpen, NotFound)):
            store.retrieve(lost)

    def test_a_project_without_keys_is_let_be(self, store):
        store.new_project_key('nobody')
        assert store.destroy_project_keys('nobody', newest=True) == 0

    def test_what_is_gone_is_not_sealed_anew(self, store):
        (stored, _), = _several(store, projects=1)
        store.new_project_key(stored.project_id)
        store.delete(stored)
        assert store.rekey(stored) is False

    def test_threads_read_and_write_meanwhile(self, store):
        secrets = _several(store, projects=2, each=3)

        def rotate() -> None:
            for _ in range(3):
                for project_id in ('project 0', 'project 1'):
                    store.new_project_key(project_id)
                for stored, _ in secrets:
                    store.rekey(stored)

        _while_others_work(store, secrets, rotate)


def _several(store: Any, *, projects: int, each: int = 1) -> Secrets:
    """New secrets and their payloads, in projects of their own."""
    return [(_kept(store, b'payload %d' % number, f'project {number % projects}'),
             b'payload %d' % number) for number in range(projects * each)]


def _kept(store: Any, payload: bytes, project_id: str) -> StoredSecret:
    secret_id = str(uuid.uuid4())
    return StoredSecret(secret_id=secret_id, project_id=project_id, reference=store.store(
        StoreRequest(secret_id=secret_id, project_id=project_id, payload=payload)))


def _require(store: Any, secrets: Secrets) -> None:
    """Insist that every payload can be read."""
    for stored, payload in secrets:
        assert store.retrieve(stored) == payload


def _new_master_key(store: Any) -> str:
    try:
        return store.new_master_key()
    except NotSupported as error:
        pytest.skip(error.sentence)


def _until_none(work: Callable[[], int]) -> None:
    while work():
        pass


def _while_others_work(store: Any, secrets: Secrets, rotate: Callable[[], None]) -> None:
    """Rotate while threads read what there is, and keep, read and delete what is new."""
    ended = threading.Event()

    def read(number: int) -> int:
        rounds = 0
        while rounds == 0 or not ended.is_set():
            _require(store, secrets)
            passing = _kept(store, b'passing', secrets[number % len(secrets)][0].project_id)
            _require(store, [(passing, b'passing')])
            store.delete(passing)
            rounds += 1
        return rounds

    with ThreadPoolExecutor(3) as threads:
        readers = [threads.submit(read, number) for number in range(3)]
        try:
            rotate()
        finally:
            ended.set()
        assert all(reader.result() for reader in readers)
    _require(store, secrets)
