# SPDX-License-Identifier: Apache-2.0
"""How workers tell which certificate authorities they have, and which one an order gets."""
import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509
from sqlalchemy import event

from km.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from km.lifecycle import authorities
from km.lifecycle.authorities import choose
from tests.unit.lifecycle.authorities.conftest import UNKNOWN, an_order_of, of, subordinate


@pytest.fixture
def chosen(ctx):
    """What an order gets, by its plugin's name and its own."""
    def ask(ca_id=None, project_id='alpha', ctx=ctx):
        with ctx.transaction() as connection:
            row = choose(ctx, connection, project_id, ca_id)
        return row.plugin_name, row.plugin_ca_id
    return ask


ALL = {('first', 'memory'): 'ACTIVE', ('second', 'memory'): 'ACTIVE', ('second', 'another'): 'ACTIVE'}


# ---- what plugins say


def test_a_worker_tells_which_authorities_it_has(ctx, rows, told, first, clock):
    authorities.announce(ctx)
    assert told() == ALL
    row = next(row for row in rows('authorities') if row['plugin_name'] == 'first')
    issuer = first.guest.memory.issuers['memory']
    assert x509.load_pem_x509_certificate(row['certificate'].encode()) == issuer.certificate
    assert [one.subject.rfc4514_string() for one in x509.load_pem_x509_certificates(
        row['chain'].encode())] == ['CN=memory\\, the root']
    assert (row['name'], row['description']) == ('memory', 'memory, in memory')
    assert row['not_after'] == '2049-12-31 00:00:00.000000'
    assert row['expiration'] == '2030-01-02 12:00:00.123456'
    assert (row['project_id'], row['parent_id'], row['intent']) == (None, None, None)


def test_nothing_is_written_if_nothing_changed(ctx, database, rows, clock):
    authorities.announce(ctx)
    before, said = rows('authorities'), []
    clock.forward(hours=23)
    event.listen(database.engine, 'before_cursor_execute',
                 lambda _c, _k, statement, *_: said.append(statement))
    authorities.announce(ctx)
    assert [statement.split()[0] for statement in said] == ['SELECT']
    assert rows('authorities') == before


def test_an_authority_keeps_its_id_when_it_signs_with_another_certificate(ctx, ids, rows, first, clock):
    authorities.announce(ctx)
    before = ids()
    first.guest.memory.add('memory')
    clock.forward(minutes=1)
    authorities.announce(ctx)
    assert ids() == before
    row = next(row for row in rows('authorities') if row['plugin_name'] == 'first')
    assert row['updated'] == '2030-01-01 12:01:00.123456'
    assert x509.load_pem_x509_certificate(
        row['certificate'].encode()) == first.guest.memory.issuers['memory'].certificate


def test_an_authority_that_is_gone_is_forgotten(ctx, told, second):
    authorities.announce(ctx)
    del second.guest.memory.issuers['another']
    authorities.announce(ctx)
    assert told() == {key: 'ACTIVE' for key in ALL if key != ('second', 'another')}
    authorities.announce(dataclasses.replace(ctx, authorities={'second': second}))
    assert told() == {('second', 'memory'): 'ACTIVE'}


@pytest.mark.parametrize('refer', [
    lambda ctx, ca_id: authorities.add(ctx, ca_id=ca_id),
    lambda ctx, ca_id: authorities.prefer_globally(ctx, ca_id=ca_id),
    subordinate], ids=['chosen', 'preferred globally', 'with a subordinate'])
def test_one_that_something_refers_to_is_disabled_until_it_is_there_again(
        ctx, ids, told, first, second, refer):
    authorities.announce(ctx)
    before = ids()
    refer(ctx, before['first', 'memory'])
    there = ids()
    authorities.announce(dataclasses.replace(ctx, authorities={'second': second}))
    assert {key: status for key, status in told().items() if key[0] == 'first'} == {
        key: 'DISABLED' for key in there if key[0] == 'first'}
    authorities.refresh(ctx)
    assert set(told().values()) == {'ACTIVE'}
    assert ids() == there


def test_one_that_certificates_are_ordered_of_is_disabled(ctx, ids, told, second, database, clock):
    authorities.announce(ctx)
    an_order_of(database, ids()['first', 'memory'], clock)
    authorities.announce(dataclasses.replace(ctx, authorities={'second': second}))
    assert told()['first', 'memory'] == 'DISABLED'


def test_a_plugin_that_is_down_is_left_as_it_was_and_told_of_later(ctx, told, first, caplog):
    first.guest.fail = {('authorities', 'before'): Unavailable('Down.')}
    authorities.announce(ctx)
    assert told() == {key: 'ACTIVE' for key in ALL if key[0] == 'second'}
    assert 'first stay as they are: Down.' in caplog.text
    authorities.refresh(ctx)
    assert set(told()) == {key for key in ALL if key[0] == 'second'}
    first.guest.fail = {}
    authorities.refresh(ctx)
    assert told() == ALL
    first.guest.fail = {('authorities', 'before'): Unavailable('Down.')}
    authorities.announce(ctx)
    assert told() == ALL


def test_a_description_is_asked_for_anew_after_a_day_and_not_before(ctx, rows, first, second, clock):
    authorities.announce(ctx)
    first.guest.memory.issuers['memory'] = first.guest.memory.add('for a while')
    authorities.refresh(ctx)
    assert 'for a while' not in {row['plugin_ca_id'] for row in rows('authorities')}
    clock.forward(days=1)
    authorities.refresh(ctx)
    assert 'for a while' in {row['plugin_ca_id'] for row in rows('authorities')}
    assert {row['expiration'] for row in rows('authorities')} == {'2030-01-03 12:00:00.123456'}
    asked = len(second.guest.memory.calls)
    authorities.refresh(ctx)
    assert len(second.guest.memory.calls) == asked


def test_a_refresh_leaves_the_authorities_of_other_workers_alone(ctx, told, second, clock):
    authorities.announce(ctx)
    clock.forward(days=2)
    authorities.refresh(dataclasses.replace(ctx, authorities={'second': second}))
    assert told() == ALL


def test_many_workers_may_start_at_once(ctx, told):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: authorities.announce(ctx), range(8)))
    assert told() == ALL


def test_what_is_no_certificate_is_not_written_down(ctx, told, first, caplog):
    class Odd:
        der, chain = b'no certificate', ()

    first.guest.memory.issuers['memory'] = Odd()
    authorities.announce(ctx)
    assert set(told()) == {key for key in ALL if key[0] == 'second'}
    assert 'Certificate authority first told of an authority with what is no certificate.' in caplog.text


def test_a_description_is_one_line_that_fits_a_row(ctx, rows, first):
    first.guest.authorities = lambda: [authorities.Authority(
        name='memory', description='a\nb\x00' + 'c' * 2000)]
    authorities.announce(ctx)
    row = next(row for row in rows('authorities') if row['plugin_name'] == 'first')
    assert row['description'] == 'a b ' + 'c' * 1020
    assert (row['certificate'], row['chain'], row['not_after']) == (None, None, None)


def test_a_subordinate_that_its_plugin_tells_of_is_never_one_for_all(ctx, rows, ids, first, clock):
    authorities.announce(ctx)
    ca_id = subordinate(ctx, ids()['first', 'memory'], name='mine')
    first.guest.memory.add(UNKNOWN)  # its row is gone, or in a backup that is not restored
    clock.forward(days=2)
    authorities.refresh(ctx)
    authorities.announce(ctx)
    assert ('first', UNKNOWN) not in ids()
    row = next(row for row in rows('authorities') if row['id'] == ca_id)
    assert (row['project_id'], row['name'], row['description']) == ('alpha', 'mine', '')
    assert row['expiration'] == '2030-01-04 12:00:00.123456'


# ---- which one an order gets


def test_without_a_preference_it_is_the_usual_one_of_the_first_plugin(ctx, chosen, first, second):
    with pytest.raises(Invalid):
        chosen()
    authorities.announce(ctx)
    assert chosen() == ('first', 'memory')
    turned = dataclasses.replace(ctx, authorities={'second': second, 'first': first})
    assert chosen(ctx=turned) == ('second', 'memory')


def test_the_global_preference_comes_before_that_and_the_projects_own_before_both(ctx, chosen, ids):
    authorities.announce(ctx)
    authorities.prefer_globally(ctx, ca_id=ids()['second', 'memory'])
    assert chosen() == chosen(project_id='beta') == ('second', 'memory')
    authorities.add(ctx, ca_id=ids()['second', 'another'])
    assert chosen() == ('second', 'another')
    assert chosen(project_id='beta') == ('second', 'memory')
    authorities.unprefer_globally(ctx)
    authorities.unprefer_globally(ctx)
    assert chosen(project_id='beta') == ('first', 'memory')


def test_what_an_order_names_is_what_it_gets(ctx, chosen, ids):
    authorities.announce(ctx)
    for key, ca_id in ids().items():
        assert chosen(ca_id) == key
    for wrong in (UNKNOWN, 'no id', ''):
        with pytest.raises(Invalid, match=r'^The ca_id provided in the request is invalid\.$'):
            chosen(wrong)


def test_an_order_cannot_name_a_subordinate_of_another_project(ctx, chosen, ids):
    authorities.announce(ctx)
    ca_id = subordinate(ctx, ids()['first', 'memory'])
    assert chosen(ca_id) == ('first', ca_id)
    with pytest.raises(Forbidden, match=r'^Subordinate CA is not owned by this project$'):
        chosen(ca_id, project_id='beta')


def test_a_project_that_has_chosen_some_orders_of_those_alone(ctx, chosen, ids):
    authorities.announce(ctx)
    own = subordinate(ctx, ids()['first', 'memory'])
    authorities.add(ctx, ca_id=ids()['second', 'memory'])
    assert chosen(ids()['second', 'memory']) == ('second', 'memory')
    for outside in (ids()['first', 'memory'], own):
        with pytest.raises(Forbidden):
            chosen(outside)
    assert chosen(ids()['first', 'memory'], project_id='beta') == ('first', 'memory')


def test_one_that_is_not_enabled_is_never_silently_another(ctx, chosen, ids, second):
    authorities.announce(ctx)
    ca_id = ids()['first', 'memory']
    authorities.add(ctx, ca_id=ca_id)
    less = dataclasses.replace(ctx, authorities={'second': second})
    authorities.announce(less)
    with pytest.raises(Unavailable):
        chosen(ctx=less)
    with pytest.raises(Invalid):
        chosen(ca_id, ctx=less)
    assert chosen(project_id='beta', ctx=less) == ('second', 'memory')


# ---- what projects choose


def test_the_first_one_chosen_is_preferred_and_choosing_again_changes_nothing(ctx, rows, ids):
    authorities.announce(ctx)
    for key in (('second', 'memory'), ('first', 'memory'), ('second', 'memory')):
        authorities.add(ctx, ca_id=ids()[key])
    assert {row['authority_id']: row['is_preferred'] for row in rows('project_authorities')} == {
        ids()['second', 'memory']: 1, ids()['first', 'memory']: None}


def test_another_is_preferred_only_if_it_is_chosen(ctx, chosen, ids):
    authorities.announce(ctx)
    authorities.add(ctx, ca_id=ids()['first', 'memory'])
    with pytest.raises(Invalid):
        authorities.prefer(ctx, ca_id=ids()['second', 'memory'])
    authorities.add(ctx, ca_id=ids()['second', 'memory'])
    authorities.prefer(ctx, ca_id=ids()['second', 'memory'])
    assert chosen() == ('second', 'memory')


def test_the_preferred_one_leaves_last(ctx, chosen, ids, rows):
    authorities.announce(ctx)
    for key in ALL:
        authorities.add(ctx, ca_id=ids()[key])
    with pytest.raises(Conflict):
        authorities.remove(ctx, ca_id=ids()['first', 'memory'])
    for key in (('second', 'memory'), ('second', 'another'), ('first', 'memory')):
        authorities.remove(ctx, ca_id=ids()[key])
        with pytest.raises(NotFound):
            authorities.remove(ctx, ca_id=ids()[key])
    assert rows('project_authorities') == []


def test_what_one_project_chooses_is_nothing_to_another(ctx, ids, chosen):
    authorities.announce(ctx)
    authorities.add(ctx, ca_id=ids()['second', 'memory'])
    authorities.add(of(ctx, 'beta'), ca_id=ids()['second', 'another'])
    assert (chosen(), chosen(project_id='beta')) == (('second', 'memory'), ('second', 'another'))
    with pytest.raises(NotFound):
        authorities.remove(of(ctx, 'beta'), ca_id=ids()['second', 'memory'])


def test_what_is_unknown_or_not_enabled_cannot_be_chosen(ctx, ids, second):
    authorities.announce(ctx)
    ca_id = ids()['first', 'memory']
    authorities.prefer_globally(ctx, ca_id=ca_id)
    authorities.announce(dataclasses.replace(ctx, authorities={'second': second}))
    for choice in (authorities.add, authorities.prefer, authorities.prefer_globally):
        with pytest.raises(NotFound, match='CA not found'):
            choice(ctx, ca_id=UNKNOWN)
        with pytest.raises(Invalid, match='not enabled'):
            choice(ctx, ca_id=ca_id)


def test_a_subordinate_is_never_preferred_by_all_projects(ctx, ids, rows):
    authorities.announce(ctx)
    ca_id = subordinate(ctx, ids()['first', 'memory'])
    with pytest.raises(Invalid):
        authorities.prefer_globally(ctx, ca_id=ca_id)
    assert not any(row['is_global_preferred'] for row in rows('authorities'))


def test_many_who_choose_at_once_leave_one_preferred(ctx, ids, rows):
    authorities.announce(ctx)
    every = list(ids().values()) * 4
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda ca_id: authorities.add(ctx, ca_id=ca_id), every))
        list(threads.map(lambda ca_id: authorities.prefer(ctx, ca_id=ca_id), every))
        list(threads.map(lambda ca_id: authorities.prefer_globally(ctx, ca_id=ca_id), every))
    assert len(rows('project_authorities')) == 3
    assert len([row for row in rows('project_authorities') if row['is_preferred']]) == 1
    assert len([row for row in rows('authorities') if row['is_global_preferred']]) == 1


def test_an_order_holds_a_subordinate_until_it_is_written_and_no_root_authority(ctx, database, ids):
    authorities.announce(ctx)
    root = ids()['first', 'memory']
    own, said = subordinate(ctx, root), []
    event.listen(database.engine, 'before_cursor_execute',
                 lambda _c, _k, statement, *_: said.append(statement.split()[:2]))
    for ca_id, taken in ((root, 0), (own, 1)):
        said.clear()
        with ctx.transaction() as connection:
            choose(ctx, connection, 'alpha', ca_id)
        assert said.count(['UPDATE', 'authorities']) == taken
