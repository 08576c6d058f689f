# SPDX-License-Identifier: Apache-2.0
"""Answers to challenges are taken away, sooner or later."""
from datetime import timedelta

import pytest
import sqlalchemy as sa

from km.interfaces import Challenge, PendingOrder, Rejected, Unavailable
from km.plugins.certificate_authority.acme.tables import ANSWERS
from tests.functional.certificates.acme_client import an_order


def an_authorization(server, token='a-token'):
    return {'status': 'pending', 'identifier': {'type': 'dns', 'value': 'a.test'}, 'challenges': [
        {'type': 'http-01', 'url': f'{server.url}/http-01', 'token': token, 'status': 'pending'}]}


@pytest.fixture
def presented(server, acme):
    """Has a proof presented; gives the order, as it is pending."""
    server.says('/newOrder', (201, {}, {'Location': f'{server.url}/order'}))
    server.says('/order', {'status': 'pending', 'authorizations': [f'{server.url}/authorization']})
    server.says('/authorization', an_authorization(server))
    server.says('/http-01', {})
    order = an_order('a.test')
    pending = PendingOrder(order=order, reference=acme.issue(order).reference)
    acme.poll(pending)
    return pending


def asked_anew(server, acme, *authorizations, told):
    """Have the order go on after km was killed before it noted what it told; give the outcome."""
    acme._database.run(sa.update(ANSWERS).values(told=False))
    server.says('/authorization', *authorizations)
    server.says('/http-01', told)
    server.asked.clear()
    return acme.poll


def with_status(server, status, challenge='pending'):
    authorization = an_authorization(server)
    authorization['challenges'][0]['status'] = challenge
    return {**authorization, 'status': status}


def test_an_authority_that_looks_already_is_not_told_again(presented, server, acme):
    poll = asked_anew(server, acme, with_status(server, 'pending', 'processing'),
                      told=server.refuses('malformed'))
    assert poll(presented).poll_after_seconds > 0
    assert server.posted('/http-01') == []


def test_an_authority_that_has_looked_meanwhile_does_not_fail_the_order(presented, server, acme):
    poll = asked_anew(server, acme, with_status(server, 'pending'),
                      with_status(server, 'valid', 'valid'), told=server.refuses('malformed'))
    assert poll(presented).poll_after_seconds > 0
    assert server.posted('/http-01') == [{}]


def test_an_authority_that_does_not_want_to_look_fails_the_order(presented, server, acme, responder):
    poll = asked_anew(server, acme, with_status(server, 'pending'), told=server.refuses('malformed'))
    with pytest.raises(Rejected, match='It is malformed'):
        poll(presented)
    assert not responder.presented


def rows(acme):
    return acme._database.all(sa.select(ANSWERS))


def aged(acme, **time):
    acme._database.run(sa.update(ANSWERS).values(written_at=sa.bindparam('at')), at=(
        rows(acme)[0].written_at - timedelta(**time)))


def test_what_is_old_is_taken_away_at_open(presented, acme, opened, responder):
    opened()
    assert len(responder.presented) == 1
    aged(acme, hours=25)
    opened()
    assert not responder.presented
    assert rows(acme) == []


def test_what_cannot_be_taken_away_now_is_swept_later(presented, acme, opened, responder, server,
                                                      monkeypatch, caplog):
    def down(challenge):
        raise Unavailable('The name server is down.')

    with monkeypatch.context() as patched:
        patched.setattr(responder, 'remove', down)
        acme.cancel(presented)
        aged(acme, hours=25)
        opened()
    assert 'The name server is down' in caplog.text
    assert all(one.key_authorization not in caplog.text for one in responder.presented)
    assert len(responder.presented) == len(rows(acme)) == 1
    opened()
    assert not responder.presented
    assert rows(acme) == []


def test_what_a_responder_left_that_is_gone_is_told_and_forgotten(presented, acme, opened, caplog):
    aged(acme, hours=25)
    opened(responders={})
    assert "'web' is gone" in caplog.text
    assert rows(acme) == []


def test_a_proof_that_is_wanted_no_more_is_taken_away(presented, acme, server, responder):
    server.says('/authorization', an_authorization(server, 'another-token'))
    acme.poll(presented)
    assert [one.token for one in responder.presented] == ['another-token']


def test_a_proof_by_the_key_of_before_gives_way_to_one_by_the_key_of_now(presented, acme, server,
                                                                          responder):
    before, = responder.presented
    server.says('/account', server.refuses('unauthorized'), {})
    server.says('/keyChange', {})
    acme.roll_over_account_key()
    acme.poll(presented)
    now, = responder.presented
    assert now.token == before.token
    assert now.key_authorization != before.key_authorization
    assert [row.key_authorization for row in rows(acme)] == [now.key_authorization]
    assert server.posted('/http-01') == [{}, {}]


def test_what_a_responder_did_not_take_is_not_written_down(presented, acme, opened, responder, server):
    acme.cancel(presented)
    reluctant = type(responder)()
    reluctant.present = refuse
    opened(responders={'reluctant': reluctant, 'web': responder}).poll(presented)
    assert [row.responder for row in rows(acme)] == ['web']


def refuse(challenge):
    raise Rejected('Not this one.')


def test_a_key_authorization_is_not_shown_by_anything(presented, responder):
    challenge, = responder.presented
    assert isinstance(challenge, Challenge)
    assert challenge.key_authorization not in repr(presented) + repr(challenge)


def test_an_old_answer_of_another_instance_is_its_own(presented, acme, opened, responder):
    acme._database.run(sa.update(ANSWERS).values(authority='other'))
    aged(acme, hours=25)
    opened()
    assert len(responder.presented) == 1
