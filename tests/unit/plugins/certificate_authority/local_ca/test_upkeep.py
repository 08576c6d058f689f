# SPDX-License-Identifier: Apache-2.0
"""What ends: authorities of projects, older keys, what is known of old certificates."""
import uuid

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from km.interfaces import CrlRequest, Rejected
from km.plugins.certificate_authority.local_ca.tables import CERTIFICATES, CRLS, KEYS, SIGNERS
from tests.unit.plugins.certificate_authority.local_ca.opened import (
    DAY,
    HOUR,
    NOW,
    Killed,
    a_request,
    a_revocation,
    a_subordinate,
    an_order,
    issuer_id,
    killed_at_each_step,
    loaded,
    rows,
)


def on_crl(ca, issuer):
    made = ca.crl(CrlRequest(issuer=issuer))
    return made, {entry.serial_number: entry.extensions.get_extension_for_class(
        x509.CRLReason).value.reason.value for entry in x509.load_der_x509_crl(made.content)}


def serial_of(der):
    return loaded(der).serial_number


def an_authority(ca, number=0):
    """An authority of a project, its issuer, and what it issued."""
    made = ca.make_subordinate(a_subordinate(subject=f'CN=Ours {number}'))
    order = an_order('a.alpha.example.org', authority=made.name)
    return made, issuer_id(ca, made.name), order, ca.issue(order)


def require_removed(ca, made, issuer, order, issued):
    with pytest.raises(Rejected):
        ca.issue(an_order('b.alpha.example.org', authority=made.name))
    signer, = rows(ca, SIGNERS, id=issuer)
    assert (signer.state, signer.key_id) == ('removed', None)
    assert on_crl(ca, issuer_id(ca))[1][serial_of(made.certificate)] == 'cessationOfOperation'
    last, entries = on_crl(ca, issuer)
    assert entries == {serial_of(issued.certificate): 'cessationOfOperation'}
    assert last.next_update > loaded(made.certificate).not_valid_after_utc.replace(tzinfo=None)
    assert made.name not in [told.name for told in ca.authorities()]
    assert ca.issue(order) == issued


def test_an_authority_that_is_removed_issues_no_more_and_its_last_crl_stays(ca, store, opens):
    several = an_authority(ca)
    key_id = rows(ca, SIGNERS, id=several[1])[0].key_id
    ca.remove_subordinate(several[0].name)
    opens().remove_subordinate(several[0].name)
    require_removed(ca, *several)
    assert store.find(key_id) is None
    ca.publish()
    ca.time = NOW + 400 * DAY
    made, entries = on_crl(ca, several[1])
    assert entries
    assert made.next_update > ca.time


class Keeping:
    """A key store in whose face the process dies when it is to destroy a key."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        return getattr(self._store, name)

    def delete(self, _stored):
        raise Killed


class Overtaken(Keeping):
    """A key store that is slow to sign: something else happens before it does."""

    def __init__(self, store, happens):
        super().__init__(store)
        self._happens = [happens]

    def sign(self, request):
        if self._happens:
            self._happens.pop()()
        return self._store.sign(request)

    def delete(self, stored):
        self._store.delete(stored)


def test_who_is_overtaken_while_removing_an_authority_finds_it_removed(ca, store, opens):
    several = an_authority(ca)
    slow = opens(key_stores={'soft': Overtaken(
        store, lambda: ca.remove_subordinate(several[0].name))})
    slow.remove_subordinate(several[0].name)
    require_removed(ca, *several)


def test_what_was_begun_before_its_authority_was_removed_is_not_signed_after_its_last_crl(
        ca, store, opens):
    """Else there were a certificate that no CRL has."""
    made, _, *_ = an_authority(ca)
    remover = opens(key_stores={'soft': Keeping(store)})
    removals = []

    def remove_first(_connection, _cursor, statement, *_):
        if statement.startswith('INSERT INTO certificates') and not removals:
            removals.append(statement)
            with pytest.raises(Killed):
                remover.remove_subordinate(made.name)

    late = an_order('late.alpha.example.org', authority=made.name)
    sa.event.listen(ca._database.engine, 'before_cursor_execute', remove_first)
    with pytest.raises(Rejected, match='removed'):
        ca.issue(late)
    assert removals
    opens().remove_subordinate(made.name)
    assert [row.certificate for row in rows(ca, CERTIFICATES, order_id=late.order_id)] == [None]


def test_who_is_killed_while_removing_is_followed_by_one_who_removes(ca, opens, life):
    other, numbers = opens(delta_crl_minutes=5), iter(range(1000))
    for several in killed_at_each_step(
            life, lambda: an_authority(other, next(numbers)),
            lambda several: ca.remove_subordinate(several[0].name)):
        ca.publish()  # somebody else's sweep
        ca.remove_subordinate(several[0].name)
        require_removed(ca, *several)
    assert len(rows(ca, KEYS)) <= 3


def test_an_authority_that_was_rotated_is_removed_as_a_whole(ca):
    made, first, *_ = an_authority(ca)
    ca.rotate_issuer(made.name)
    second = issuer_id(ca, made.name)
    ca.remove_subordinate(made.name)
    assert [rows(ca, SIGNERS, id=one)[0].key_id for one in (first, second)] == [None] * 2
    assert len(on_crl(ca, issuer_id(ca))[1]) == 2


def test_what_an_authority_issued_is_revocable_after_its_end(ca):
    made, _, order, issued = an_authority(ca)
    ca.remove_subordinate(made.name)
    ca.revoke(a_revocation(order, issued, 'keyCompromise'))
    with pytest.raises(Rejected, match='compromised'):
        ca.issue(an_order())


def test_removing_what_was_never_made_is_no_error_and_keeps_it_from_being_made(ca):
    request = a_subordinate(authority_id=str(uuid.uuid4()))
    for _ in range(2):
        ca.remove_subordinate(request.authority_id)
    with pytest.raises(Rejected):
        ca.make_subordinate(request)
    ca.remove_subordinate('issuing')
    ca.remove_subordinate('root')
    assert ca.issue(an_order()).certificate


def test_an_older_key_signs_crls_until_its_last_certificate_has_ended(ca):
    order = an_order(not_after=NOW + 10 * DAY)
    issued, older = ca.issue(order), issuer_id(ca)
    ca.rotate_issuer('issuing')
    assert set(ca.publish()) == {issuer_id(ca, 'root'), older, issuer_id(ca)}
    ca.time = NOW + 5 * DAY
    ca.revoke(a_revocation(order, issued, at=ca.time))
    ca.publish()
    assert serial_of(issued.certificate) in on_crl(ca, older)[1]
    assert rows(ca, SIGNERS, id=older)[0].key_id
    ca.time = NOW + 11 * DAY
    ca.publish()
    assert rows(ca, SIGNERS, id=older)[0].key_id is None
    assert serial_of(issued.certificate) in on_crl(ca, older)[1]
    assert len(rows(ca, KEYS)) == 2


def test_who_is_killed_while_sweeping_is_followed_by_one_who_sweeps(ca, opens, life):
    other = opens()

    def prepare():
        order = an_order(not_after=ca.time + HOUR)
        other.revoke(a_revocation(order, other.issue(order), at=other.time))
        older = issuer_id(other)
        other.rotate_issuer('issuing')
        ca.time = other.time = ca.time + DAY
        return older

    for older in killed_at_each_step(life, prepare, lambda _: ca._upkeep.sweep()):
        other._upkeep.sweep()
        assert rows(other, SIGNERS, id=older)[0].key_id is None
    assert len(rows(other, KEYS)) == 2


def test_an_authority_that_ended_long_ago_is_forgotten_with_its_crl(ca):
    made, issuer, *_ = an_authority(ca)
    ca.remove_subordinate(made.name)
    ca.time = NOW + 800 * DAY
    on_crl(ca, issuer)
    ca.time = NOW + 900 * DAY
    ca.publish()
    assert rows(ca, SIGNERS, id=issuer) == rows(ca, CRLS, issuer_id=issuer) == []


def test_what_ended_long_ago_is_forgotten_but_not_which_keys_are_compromised(ca):
    orders = [an_order(not_after=NOW + DAY, csr=a_request('a.example.org', key=ec.generate_private_key(
        ec.SECP256R1()))) for _ in range(3)]
    issued = [ca.issue(order) for order in orders]
    ca.revoke(a_revocation(orders[0], issued[0], 'keyCompromise'))
    ca.revoke(a_revocation(orders[1], issued[1]))
    ca.time = NOW + 90 * DAY
    ca.publish()
    assert all(rows(ca, CERTIFICATES, order_id=order.order_id) for order in orders)
    ca.time = NOW + 92 * DAY
    ca.publish()
    assert [len(rows(ca, CERTIFICATES, order_id=order.order_id)) for order in orders] == [1, 0, 0]
    with pytest.raises(Rejected, match='compromised'):
        ca.issue(an_order(csr=orders[0].csr))


def test_what_is_short_lived_says_nothing_of_revocation_and_is_forgotten_at_its_end(folder, opens):
    (folder / 'profiles.toml').write_text(
        '[brief]\nshort_lived = true\ndefault_validity = "1h"\nmax_validity = "1d"\n'
        'extended_key_usage = ["serverAuth"]\n')
    ca = opens(profiles=str(folder / 'profiles.toml'))
    order = an_order(profile='brief')
    issued = ca.issue(order)
    for kind in (x509.CRLDistributionPoints, x509.AuthorityInformationAccess):
        with pytest.raises(x509.ExtensionNotFound):
            loaded(issued.certificate).extensions.get_extension_for_class(kind)
    ca.revoke(a_revocation(order, issued))
    assert on_crl(ca, issuer_id(ca))[1] == {}
    ca.time = NOW + 2 * HOUR
    ca.publish()
    assert rows(ca, CERTIFICATES, order_id=order.order_id) == []
