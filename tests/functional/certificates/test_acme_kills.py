# SPDX-License-Identifier: Apache-2.0
"""km is killed at each step of ACME, before and after the step had its effect, and goes on: there is one
certificate, one account key, and no proof is left."""
import contextlib
import http.client
import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from km.interfaces import Issued, PendingOrder, Unavailable
from km.plugins.certificate_authority.acme.plugin import Acme
from km.plugins.certificate_authority.acme.tables import ANSWERS
from km.testing import MemoryKeyStore, open_authority, open_plugin
from tests.functional.certificates.acme_client import MockDnsResponder, again, an_order, finished, names
from tests.functional.certificates.pebble_server import run_mock_dns, run_pebble


class Killed(BaseException):
    """What a killed process does: nothing any more."""


class Killer:
    """Kills at one HTTP exchange, of the plugin or a responder, of those made while it is armed."""

    def __init__(self, monkeypatch):
        self._at, self._after, self.seen = None, False, 0
        ask, hear = http.client.HTTPConnection.request, http.client.HTTPConnection.getresponse

        def request(connection, *arguments, **named):
            self.seen += 1
            self._kill_at(after=False)
            return ask(connection, *arguments, **named)

        def getresponse(connection, *arguments, **named):
            response = hear(connection, *arguments, **named)
            self._kill_at(after=True)
            return response

        monkeypatch.setattr(http.client.HTTPConnection, 'request', request)
        monkeypatch.setattr(http.client.HTTPConnection, 'getresponse', getresponse)

    @contextlib.contextmanager
    def armed(self, number, *, after):
        """Kill once, at exchange `number` from now, before it or after it."""
        self._at, self._after, self.seen = number, after, 0
        try:
            yield
        finally:
            self._at = None

    def _kill_at(self, *, after):
        if self._at == self.seen and self._after is after:
            self._at = None
            raise Killed


@pytest.fixture(scope='module')
def dns(tmp_path_factory):
    with run_mock_dns(tmp_path_factory.mktemp('mock-dns')) as server:
        yield server


@pytest.fixture(scope='module')
def pebble(dns, tmp_path_factory):
    with run_pebble(tmp_path_factory.mktemp('pebble'), dns_port=dns.dns_port) as server:
        yield server


@pytest.fixture
def killer(monkeypatch):
    return Killer(monkeypatch)


class Km:
    """A km that is started anew after it was killed: only its database, its stores and its record of the
    order stay."""

    def __init__(self, folder, pebble, dns):
        self.key_store, self._folder = open_plugin(MemoryKeyStore), folder
        self._pebble, self._responder = pebble, MockDnsResponder(dns)
        self.start()

    def start(self):
        self.acme = open_authority(
            Acme, key_stores={'soft': self.key_store}, responders={'dns': self._responder},
            directory_url=self._pebble.directory_url, ca_file=str(self._pebble.ca_file),
            connection=f'sqlite:///{self._folder}/acme.sqlite', key_store='soft',
            terms_of_service_agreed=True, http_timeout_seconds=5)

    def order(self, order):
        """Do the next thing for an order until it is issued, whatever happens; give what is issued."""
        outcome = None
        while not isinstance(outcome, Issued):
            try:
                outcome = self.acme.issue(order) if outcome is None else self.acme.poll(
                    PendingOrder(order=order, reference=outcome.reference))
            except Killed:
                self.acme.close()
                self.start()
                order = again(order) if outcome is None else order
        return outcome

    def keys(self):
        return len(self.key_store._signing_keys)


@pytest.mark.parametrize('after', [False, True], ids=['before', 'after'])
def test_an_order_that_is_killed_anywhere_has_one_certificate(pebble, dns, folder, killer, after):
    for number in itertools.count(1):
        (folder / str(number)).mkdir()
        km, order, before = Km(folder / str(number), pebble, dns), an_order('kill.test'), pebble.issued()
        with killer.armed(number, after=after):
            issued = km.order(order)
            done = killer.seen < number
        assert names(issued) == ['kill.test']
        assert len(pebble.issued()) == len(before) + 1
        assert dns.txt == {}
        assert km.keys() == 1
        km.acme.close()
        if done:
            break
    assert number > 15


def test_an_order_that_several_go_on_with_at_once_has_one_certificate(dns, folder):
    """So it is when a call of km's took so long that km made it again.

    Pebble (2.4) now and then locks itself up when an order is read while it changes, and answers nobody
    any more; then there is another.
    """
    with run_pebble(folder, dns_port=dns.dns_port) as pebble:
        km = Km(folder, pebble, dns)
        for _ in range(3):
            with contextlib.suppress(Unavailable):
                for _ in range(5):
                    require_one_certificate(km.acme, pebble)
                break
            pebble.restart()
        else:
            pytest.fail('pebble locked itself up each time')


def require_one_certificate(acme, pebble):
    """Insist that four who go on with an order at once get the same certificate."""
    order, before = an_order('one.race.test', 'two.race.test', '*.race.test'), len(pebble.issued())
    begun = acme.issue(order)
    with ThreadPoolExecutor(4) as threads:
        issued = set(threads.map(lambda _: finished(acme, order, begun), range(4)))
    assert len(issued) == 1
    assert len(pebble.issued()) == before + 1
    assert not acme._database.all(sa.select(ANSWERS).where(ANSWERS.c.order_id == order.order_id))


@pytest.mark.parametrize('after', [False, True], ids=['before', 'after'])
@pytest.mark.parametrize('then', ['roll over', 'issue'])
def test_a_rollover_that_is_killed_anywhere_leaves_one_account(pebble, dns, folder, killer, after, then):
    for number in itertools.count(1):
        (folder / str(number)).mkdir()
        km = Km(folder / str(number), pebble, dns)
        account = km.acme.check()
        with killer.armed(number, after=after):
            try:
                km.acme.roll_over_account_key()
                done = True
            except Killed:
                done = False
        km.acme.close()
        km.start()
        if then == 'issue':
            assert names(finished(km.acme, an_order('rolled.test'))) == ['rolled.test']
        km.acme.roll_over_account_key()
        assert km.acme.check() == account
        assert km.keys() == 1
        km.acme.close()
        if done:
            break
    assert number > 2


@pytest.mark.parametrize('after', [False, True], ids=['before', 'after'])
def test_a_cancellation_that_is_killed_anywhere_is_made_again(pebble, dns, folder, killer, after):
    km = Km(folder, pebble, dns)
    for number in itertools.count(1):
        order, before = an_order('cancel.test'), pebble.issued()
        pending = PendingOrder(order=order, reference=km.acme.issue(order).reference)
        km._responder.waits = [5]
        km.acme.poll(pending)
        with killer.armed(number, after=after):
            try:
                km.acme.cancel(pending)
                done = True
            except Killed:
                km.acme.cancel(pending)
                done = False
        assert dns.txt == {}
        assert pebble.issued() == before
        if done:
            break
    assert number > 3
