# SPDX-License-Identifier: Apache-2.0
"""A km that is killed while it asks EJBCA, or loses its answer, at each call there is: afterwards there
is one certificate, and the order has it."""
import contextlib
import functools
import itertools
import os
import signal
import time
from dataclasses import replace

import pytest

from km.interfaces import KmError, Rejected, Unavailable
from km.plugins.certificate_authority.ejbca.order import Progress
from km.plugins.certificate_authority.ejbca.plugin import Ejbca
from km.testing import open_authority
from tests.functional.certificates.ejbca_orders import (
    assert_fits,
    in_days,
    order,
    pending,
    revocation,
)

TWO_STEP = {'enrollment_mode': 'two_step'}


class Victim:
    """A process of its own that opens a plugin and asks it something, and is killed for that."""

    def __init__(self, server, options, ask):
        """Begin."""
        self._process = os.fork()
        if self._process == 0:
            with contextlib.suppress(BaseException):
                plugin = open_authority(Ejbca, **server.options(**options))
                server.tell('calls', 'forget')
                ask(plugin)
            os._exit(0)

    def kill(self):
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)


def calls_of(server, options, ask):
    """How many calls it takes if nothing happens."""
    plugin = open_authority(Ejbca, **server.options(**options))
    server.tell('calls', 'forget')
    with contextlib.suppress(KmError):
        ask(plugin)
    plugin.close()
    return len(server.calls)


def killed_at_each_call(server, options, prepare, ask):
    """For every call, before EJBCA hears it and after it did it: kill who asks there, and go on.

    ``prepare`` makes what the others are given, from a plugin that lives. Gives each time a plugin to go
    on with, and what ``prepare`` made.
    """
    fresh = prepare_with(server, options, prepare)
    most = calls_of(server, options, lambda plugin: ask(plugin, fresh))
    assert most > 1
    for number, when in itertools.product(range(1, most + 1), ('hold_before', 'hold_after')):
        made = prepare_with(server, options, prepare)
        victim = Victim(server, options, functools.partial(_held, server, ask, made, when, number))
        server.wait_until_held()
        victim.kill()
        server.tell('release')
        plugin = open_authority(Ejbca, **server.options(**options))
        yield plugin, made
        plugin.close()


def prepare_with(server, options, prepare):
    server.reset()
    plugin = open_authority(Ejbca, **server.options(**options))
    made = prepare(plugin)
    plugin.close()
    return made


def _held(server, ask, made, when, number, plugin):
    server.go_wrong(when, call=number)
    ask(plugin, made)


@pytest.mark.parametrize('options', [{}, TWO_STEP], ids=['single', 'two_step'])
def test_an_order_that_was_cut_off_anywhere_has_one_certificate(server, options):
    for plugin, placed in killed_at_each_call(
            server, options, lambda _: order(), lambda plugin, placed: plugin.issue(placed)):
        again = replace(placed, attempt=2)
        issued = plugin.issue(again)
        assert_fits(issued, placed, server.root)
        assert plugin.issue(again) == issued
        assert len(server.certificates) == 1


def test_an_order_that_was_cut_off_while_people_were_asked_is_approved_once(server):
    def prepare(_plugin):
        server.set(approve_entities=True)
        return order()

    for plugin, placed in killed_at_each_call(
            server, TWO_STEP, prepare, lambda plugin, placed: plugin.issue(placed)):
        again = replace(placed, attempt=2)
        answer = plugin.issue(again)
        assert len(server.tell('approvals')) == 1
        server.decide('EXECUTED')
        assert_fits(plugin.poll(pending(again, answer)), placed, server.root)
        assert len(server.certificates) == 1


def test_an_approved_order_that_was_cut_off_anywhere_has_one_certificate(server):
    def prepare(plugin):
        server.set(approve_entities=True)
        placed = order()
        answer = plugin.issue(placed)
        server.decide('EXECUTED')
        return pending(placed, answer)

    for plugin, waiting in killed_at_each_call(
            server, TWO_STEP, prepare, lambda plugin, waiting: plugin.poll(waiting)):
        assert_fits(plugin.poll(waiting), waiting.order, server.root)
        assert len(server.certificates) == 1


def test_a_certificate_that_is_not_as_ordered_is_revoked_wherever_that_was_cut_off(server):
    for plugin, placed in killed_at_each_call(
            server, {}, lambda _: order(profile='fixed', not_after=in_days(5)),
            lambda plugin, placed: plugin.issue(placed)):
        with pytest.raises(Rejected):
            plugin.issue(replace(placed, attempt=2))
        assert [kept['reason'] for kept in server.certificates] == ['CESSATION_OF_OPERATION']


def test_a_revocation_that_was_cut_off_anywhere_is_made(server):
    for plugin, issued in killed_at_each_call(
            server, {}, lambda plugin: plugin.issue(order()),
            lambda plugin, issued: plugin.revoke(revocation(issued, 'keyCompromise'))):
        plugin.revoke(revocation(issued, 'keyCompromise'))
        assert [kept['reason'] for kept in server.certificates] == ['KEY_COMPROMISE']


@pytest.mark.parametrize('status', [400, 409])
def test_a_certificate_that_an_earlier_call_made_in_the_meantime_is_given(server, opened, status):
    plugin, placed = opened(), order()
    server.go_wrong('status_after', path='pkcs10enroll', status=status)
    assert_fits(plugin.issue(placed), placed, server.root)
    assert len(server.certificates) == 1


def test_of_two_certificates_of_one_order_the_first_is_given_each_time(server, opened, caplog):
    plugin, placed = opened(), order()
    issued = plugin.issue(placed)
    for _ in range(2):
        time.sleep(1.1)  # certificates tell no fractions of seconds
        plugin._enrollment._next(plugin._order(placed), Progress())
        assert plugin.issue(placed) == issued
    assert 'EJBCA made 3 certificates for km-' in caplog.text


@pytest.mark.parametrize('options', [{}, TWO_STEP], ids=['single', 'two_step'])
@pytest.mark.parametrize('when', ['drop_before', 'drop_after'])
def test_an_answer_that_was_lost_anywhere_costs_no_second_certificate(server, opened, options, when):
    most = calls_of(server, options, lambda plugin: plugin.issue(order()))
    for number in range(1, most + 1):
        server.reset()
        plugin, placed = opened(**options), order()
        server.go_wrong(when, call=number)
        with pytest.raises(Unavailable):
            plugin.issue(placed)
        assert_fits(plugin.issue(placed), placed, server.root)
        assert len(server.certificates) == 1
