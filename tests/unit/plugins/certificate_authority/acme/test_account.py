# SPDX-License-Identifier: Apache-2.0
"""The account and its keys: made once, found again, and none left over."""
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa

from km.interfaces import NotSupported, Rejected, SigningKeyRequest, Unavailable
from km.plugins.certificate_authority.acme.tables import ACCOUNT_KEYS
from km.testing import MemoryKeyStore, open_plugin
from tests.functional.certificates.acme_client import an_order


class RsaStore(MemoryKeyStore):
    """A store that makes keys of one kind."""

    kinds = ('rsa',)

    def generate_signing_key(self, request):
        if request.algorithm not in self.kinds:
            raise NotSupported('It makes no such keys.')
        return super().generate_signing_key(request)


def keys(key_store):
    return set(key_store._signing_keys)


def aged(acme, **time):
    """Have all keys be written down so long ago."""
    acme._database.run(sa.update(ACCOUNT_KEYS).values(
        written_at=sa.bindparam('at')), at=_ago(acme, timedelta(**time)))


def _ago(acme, time):
    return acme._database.one(sa.select(sa.func.max(ACCOUNT_KEYS.c.written_at)))[0] - time


def test_an_account_is_registered_once(opened, server):
    for _ in range(3):
        opened().check()
    assert len(server.posted('/newAccount')) == 1


def test_of_those_who_register_at_once_all_have_one_account(opened, server, key_store, monkeypatch):
    authorities = [opened() for _ in range(4)]
    together, make = Barrier(4), key_store.generate_signing_key
    monkeypatch.setattr(key_store, 'generate_signing_key', lambda request: (
        together.wait(10), make(request))[1])
    with ThreadPoolExecutor(4) as threads:
        said = set(threads.map(lambda authority: authority.check(), authorities))
    assert len(said) == 1
    assert len(keys(key_store)) == 1


def test_two_instances_and_two_directories_have_accounts_of_their_own(opened, server, key_store):
    server.says('/dir?other', server.directory)
    opened().check()
    opened(directory_url=f'{server.url}/dir?other').check()
    assert len(keys(key_store)) == 2


def test_a_store_without_ec_keys_makes_one_of_rsa(opened, server):
    assert 'RS256' in opened(key_stores={'soft': open_plugin(RsaStore)}).check()


def test_a_store_that_makes_no_fit_key_is_told(opened, server):
    store = open_plugin(RsaStore)
    store.kinds = ()
    acme = opened(key_stores={'soft': store})
    with pytest.raises(NotSupported, match='neither EC nor RSA'):
        acme.check()
    assert acme._database.all(sa.select(ACCOUNT_KEYS)) == []


def test_a_key_whose_store_is_gone_or_lost_it_is_unavailable(opened, server, key_store):
    opened().check()
    acme = opened(key_store='other', key_stores={'other': key_store})
    with pytest.raises(Unavailable, match="secret store 'soft', which is not enabled"):
        acme.check()
    key_store._signing_keys.clear()
    with pytest.raises(Unavailable, match='not in its store'):
        opened().check()


def test_a_key_that_was_made_for_nobody_is_swept_once_it_is_old(opened, server, key_store):
    acme = opened()
    acme.check()
    used = keys(key_store)
    key_id = acme._keys.make()
    half_made = acme._keys.make()
    acme._database.run(sa.update(ACCOUNT_KEYS).where(ACCOUNT_KEYS.c.key_id == half_made).values(
        reference=None, public_key=None))
    opened()
    assert {one for one, _ in keys(key_store)} >= {key_id, half_made}
    aged(acme, hours=2)
    opened().check()
    assert keys(key_store) == used
    assert len(acme._database.all(sa.select(ACCOUNT_KEYS))) == 1


def test_a_key_that_was_written_down_and_never_made_is_swept(opened, server, key_store):
    acme = opened()
    acme._database.run(sa.insert(ACCOUNT_KEYS).values(
        key_id='0' * 36, authority='plugin', key_store='soft',
        written_at=acme._database.one(sa.select(sa.func.current_timestamp()))[0]))
    aged(acme, hours=2)
    opened()
    assert acme._database.all(sa.select(ACCOUNT_KEYS)) == []


def test_an_account_that_the_authority_forgot_is_registered_again_by_its_key(opened, server, key_store):
    acme = opened()
    acme.check()
    used = keys(key_store)
    server.says('/newOrder', server.refuses('accountDoesNotExist'),
                (201, {}, {'Location': f'{server.url}/order'}))
    acme.issue(an_order('a.test'))
    assert len(server.posted('/newAccount')) == 2
    assert keys(key_store) == used


def test_an_account_that_is_always_forgotten_is_refused(opened, server):
    server.says('/newOrder', server.refuses('accountDoesNotExist'))
    with pytest.raises(Rejected, match='accountDoesNotExist'):
        opened().issue(an_order('a.test'))
    assert len(server.posted('/newOrder')) == 2


def test_an_account_that_was_deactivated_is_told(opened, server):
    server.says('/account', {'status': 'deactivated'})
    with pytest.raises(Unavailable, match='not valid any more'):
        opened().check()


def test_a_rollover_that_is_refused_leaves_the_key_and_no_other(opened, server, key_store):
    acme = opened()
    acme.check()
    used = keys(key_store)
    server.says('/account', server.refuses('unauthorized'), {'status': 'valid'})
    server.says('/keyChange', server.refuses('malformed'))
    with pytest.raises(Rejected, match='malformed'):
        acme.roll_over_account_key()
    assert keys(key_store) == used
    acme.check()


def test_a_rollover_that_fails_for_now_goes_on_with_the_same_key(opened, server, key_store):
    acme = opened()
    acme.check()
    server.says('/keyChange', (503, b'', {}), (200, b'', {}))
    unknown = server.refuses('unauthorized')
    server.says('/account', unknown, unknown, {'status': 'valid'}, unknown)
    with pytest.raises(Unavailable):
        acme.roll_over_account_key()
    both = keys(key_store)
    assert len(both) == 2
    acme.check()
    assert acme.roll_over_account_key()
    assert len(keys(key_store)) == 1
    assert keys(key_store) < both


def test_an_authority_that_is_busy_during_a_rollover_costs_neither_key(opened, server, key_store):
    acme = opened()
    acme.check()
    server.says('/keyChange', server.refuses('malformed'))
    server.says('/account', (503, b'', {}))
    with pytest.raises(Unavailable):
        acme.roll_over_account_key()
    assert len(keys(key_store)) == 2


def test_an_account_key_cannot_be_found_by_who_asks_the_database(opened, folder, key_store):
    opened().check()
    private = next(iter(key_store._signing_keys.values())).private_numbers().private_value
    content = (folder / 'acme.sqlite').read_bytes() + (folder / 'acme.sqlite-wal').read_bytes()
    assert private.to_bytes(32, 'big') not in content


def test_the_key_request_is_for_km_itself(opened, key_store, monkeypatch):
    asked = []
    make = key_store.generate_signing_key
    monkeypatch.setattr(key_store, 'generate_signing_key', lambda request: asked.append(request) or make(
        request))
    opened().check()
    assert asked == [SigningKeyRequest(key_id=asked[0].key_id, project_id='', algorithm='ec',
                                       bit_length=256)]
