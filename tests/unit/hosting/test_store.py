# SPDX-License-Identifier: Apache-2.0
"""A plugin hangs, raises or returns nonsense, or is down: the house stands, and says whose fault it is.
"""
import logging
import threading
import uuid

import pytest

from km.errors import KmError, Misconfigured, Unavailable, Unexpected
from km.hosting import opening
from km.hosting.deadlines import Overdue
from km.hosting.store import HostedStore
from km.interfaces import Inventory, KeyGenerator, StoredSecret, StoreRequest
from tests import misbehaving
from tests.misbehaving import FailsAtFirst, Hangs, Misbehaving, Raises, Returns

PAYLOAD = b'unmistakable'


@pytest.fixture
def guest():
    return Misbehaving('odd', None)


@pytest.fixture
def hosted(guest):
    made = HostedStore(guest, plugin='strange of strangers', seconds=0.2)
    made.open()
    yield made
    guest.instead = {}
    made.close()


@pytest.fixture
def soon(monkeypatch):
    """Pauses before a store is opened again that no test waits for."""
    monkeypatch.setattr(opening, '_FIRST_PAUSE_SECONDS', 0.01)


def a_request():
    return StoreRequest(secret_id=str(uuid.uuid4()), project_id='alpha', payload=PAYLOAD)


def kept(hosted):
    request = a_request()
    return StoredSecret(secret_id=request.secret_id, project_id='alpha', reference=hosted.store(request))


def calls(hosted, stored):
    """Every method of a store, ready to be called."""
    return {'store': lambda: hosted.store(a_request()), 'retrieve': lambda: hosted.retrieve(stored),
            'delete': lambda: hosted.delete(stored), 'find': lambda: hosted.find(stored.secret_id),
            'check': hosted.check,
            'kept': lambda: hosted.able(Inventory).kept(after=None, limit=10)}


METHODS = ('store', 'retrieve', 'delete', 'find', 'check', 'kept')


def until(condition):
    for _ in range(1000):
        if condition():
            return
        threading.Event().wait(0.01)
    pytest.fail('it never came to be')


def test_a_store_that_behaves_does_through_its_host_what_it_does(hosted, guest):
    stored = kept(hosted)
    assert hosted.retrieve(stored) == PAYLOAD
    assert hosted.find(stored.secret_id) == stored.reference
    assert hosted.able(Inventory).kept(after=None, limit=10)[0].secret_id == stored.secret_id
    hosted.delete(stored)
    assert hosted.find(stored.secret_id) is None
    assert hosted.check() == guest.check()
    assert hosted.able(KeyGenerator) is None


@pytest.mark.parametrize('method', METHODS)
def test_a_call_that_hangs_is_given_up_and_the_store_used_again(hosted, guest, method):
    call = calls(hosted, kept(hosted))[method]
    guest.instead[method] = hanging = Hangs()
    with pytest.raises(Overdue, match="The secret store 'odd' did not answer"):
        call()
    hanging.go_on.set()
    guest.instead = {}
    until(lambda: not hosted._checking.locked())
    call()


def test_a_check_that_hangs_is_not_made_again_and_takes_no_thread_from_others(guest):
    hosted = HostedStore(guest, seconds=0.5, most_calls=2)
    hosted.open()
    guest.instead['check'] = hanging = Hangs()
    with pytest.raises(Overdue):
        hosted.check()
    for _ in range(2):
        with pytest.raises(Unavailable, match='has not said yet how it is'):
            hosted.check()
        assert hosted.retrieve(kept(hosted)) == PAYLOAD
    hanging.go_on.set()
    until(lambda: not hosted._checking.locked())
    assert hosted.check() == guest.check()


def test_what_is_kept_after_its_deadline_is_destroyed(hosted, guest, caplog):
    guest.instead['store'] = hanging = Hangs()
    with pytest.raises(Overdue):
        hosted.store(a_request())
    assert hanging.called.is_set()
    hanging.go_on.set()
    until(lambda: 'it is destroyed' in caplog.text)
    until(lambda: not guest.payloads)


def test_what_cannot_be_destroyed_after_its_deadline_is_said(hosted, guest, caplog):
    guest.instead = {'store': Hangs(), 'delete': Raises(lambda *_: Unavailable('No.'))}
    with pytest.raises(Overdue):
        hosted.store(a_request())
    guest.instead['store'].go_on.set()
    until(lambda: 'still keeps' in caplog.text)
    assert len(guest.payloads) == 1


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('error', misbehaving.NONSENSE_RAISED.values(), ids=misbehaving.NONSENSE_RAISED)
def test_an_error_nobody_knows_is_logged_under_its_name_and_tells_nothing(
        hosted, guest, caplog, method, error):
    call = calls(hosted, kept(hosted))[method]
    guest.instead[method] = Raises(error)
    with pytest.raises(Unexpected, match=r"^The secret store 'odd' failed\.$"):
        call()
    assert f"Secret store 'odd' (plugin strange of strangers) failed in {method}" in caplog.text
    assert PAYLOAD.decode() not in caplog.text


@pytest.mark.parametrize('error', misbehaving.NONSENSE_RAISED.values(), ids=misbehaving.NONSENSE_RAISED)
def test_an_error_nobody_knows_is_one_of_its_own_in_closing_too(guest, error):
    hosted = HostedStore(guest)
    hosted.open()
    guest.instead['close'] = Raises(error)
    with pytest.raises(Unexpected):
        hosted.close()


def test_an_error_km_knows_passes_and_tells_nothing_but_its_sentence(hosted, guest, caplog):
    caplog.set_level(logging.DEBUG)
    guest.instead['store'] = Raises(misbehaving.indiscreet_in_our_words)
    with pytest.raises(Unavailable, match=r'^It is down\.$'):
        hosted.store(a_request())
    assert PAYLOAD.decode() not in caplog.text


@pytest.mark.parametrize('what', misbehaving.NONSENSE_RETURNED, ids=': '.join)
def test_an_answer_that_is_none_is_an_error_under_its_name(hosted, guest, caplog, what):
    method, _ = what
    call = calls(hosted, kept(hosted))[method]
    guest.instead[method] = Returns(misbehaving.NONSENSE_RETURNED[what])
    with pytest.raises(Unexpected):
        call()
    assert f"Secret store 'odd' (plugin strange of strangers) returned from {method}" in caplog.text


def test_each_call_is_told_with_how_it_ended(hosted, guest):
    told = []
    hosted.observe = lambda *call: told.append(call)
    stored = kept(hosted)
    hosted.delete(stored)
    with pytest.raises(KmError):
        hosted.retrieve(stored)
    assert [call[:3] for call in told] == [
        ('odd', 'store', 'ok'), ('odd', 'delete', 'ok'), ('odd', 'retrieve', 'NotFound')]
    assert all(0 <= seconds < 10 for *_, seconds in told)


def test_a_store_that_is_down_does_not_keep_km_from_starting_and_is_opened_later(
        guest, soon, caplog):
    guest.instead['open'] = FailsAtFirst(3)
    hosted = HostedStore(guest, seconds=10)
    hosted.open()
    until(lambda: 'is open now' in caplog.text)
    kept(hosted)
    assert guest.instead['open'].calls == 4


def test_while_it_is_down_its_calls_fail_at_once(guest, caplog):
    guest.instead['open'] = FailsAtFirst(10)
    hosted = HostedStore(guest, seconds=10)
    hosted.open()
    with pytest.raises(Unavailable, match=r"^The secret store 'odd' does not answer\.$"):
        hosted.check()
    assert 'It is down.' in caplog.text
    hosted.close()


def test_a_required_store_that_is_down_keeps_km_from_starting(guest, soon):
    guest.instead['open'] = opens = FailsAtFirst(10)
    with pytest.raises(Unavailable, match='It is down'):
        HostedStore(guest, required=True, seconds=10).open()
    threading.Event().wait(0.1)
    assert opens.calls == 1


def test_a_mistake_of_the_operator_keeps_km_from_starting(guest):
    guest.instead['open'] = Raises(lambda: Misconfigured('[secret_store:odd] x: no.'))
    with pytest.raises(Misconfigured):
        HostedStore(guest, seconds=10).open()


def test_a_store_that_hangs_in_open_is_one_that_is_down_and_opens_when_it_goes_on(guest, caplog):
    guest.instead['open'] = hanging = Hangs()
    hosted = HostedStore(guest, seconds=0.05)
    hosted.open()
    with pytest.raises(Unavailable):
        hosted.check()
    assert 'did not open within' in caplog.text
    hanging.go_on.set()
    until(lambda: hosted._opening.is_open)
    kept(hosted)


def test_a_store_that_opens_when_nobody_wants_it_any_more_is_closed_again(guest):
    guest.instead = {'open': Hangs(), 'close': Hangs()}
    hosted = HostedStore(guest, seconds=0.05)
    hosted.open()
    hosted.close()
    guest.instead['open'].go_on.set()
    assert guest.instead['close'].called.wait(10)
    guest.instead['close'].go_on.set()


def test_a_store_that_fails_to_open_in_a_way_nobody_knows_is_told_and_tried_again(guest, soon, caplog):
    guest.instead['open'] = FailsAtFirst(1, ValueError(PAYLOAD.decode()))
    hosted = HostedStore(guest, seconds=10)
    hosted.open()
    until(lambda: hosted._opening.is_open)
    assert "Secret store 'odd' (plugin unnamed) failed in open: ValueError" in caplog.text
    assert PAYLOAD.decode() not in caplog.text


def test_threads_that_a_plugin_leaves_behind_are_not_waited_for(hosted, guest):
    guest.instead['check'] = leaky = misbehaving.LeaksThreads()
    hosted.check()
    hosted.close()
    assert all(thread.is_alive() for thread in leaky.threads)
    leaky.go_on.set()
