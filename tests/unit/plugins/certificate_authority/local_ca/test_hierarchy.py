# SPDX-License-Identifier: Apache-2.0
"""Root, issuing authority and those of projects: made once, replaced in use."""
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509

from km.interfaces import Misconfigured, NotFound, NotSupported, Rejected
from km.plugins.certificate_authority.local_ca.tables import KEYS, SIGNERS
from tests.unit.plugins.certificate_authority.local_ca.opened import (
    DAY,
    NOW,
    a_ca,
    a_subordinate,
    an_order,
    extension,
    issuer_id,
    killed_at_each_step,
    loaded,
    rows,
)


@pytest.fixture
def fresh(folder, store):
    """Opens Local CAs, each time on an empty database unless ``again`` is set."""
    opened = []

    def fresh(again=False, **settings):
        if not again:
            (folder / str(len(opened))).mkdir()
            fresh.folder = folder / str(len(opened))
        opened.append(a_ca(fresh.folder, store, **settings))
        return opened[-1]

    yield fresh
    for ca in opened:
        ca.close()


def test_the_first_who_opens_makes_a_root_and_an_issuing_authority(ca):
    told, = ca.authorities()
    assert told.name == 'issuing'
    root, = told.chain
    loaded(root).verify_directly_issued_by(loaded(root))
    loaded(told.certificate).verify_directly_issued_by(loaded(root))
    assert loaded(told.certificate).subject.rfc4514_string() == 'CN=km Issuing CA'
    assert [extension(der, x509.BasicConstraints).value.path_length for der in (
        root, told.certificate)] == [2, 1]
    assert all(extension(der, x509.KeyUsage).critical for der in (root, told.certificate))


def test_who_opens_later_finds_them(ca, opens):
    assert opens().authorities() == ca.authorities()
    assert len(rows(ca, KEYS)) == 2


def test_of_those_who_open_an_empty_database_at_once_all_have_the_same(opens):
    with ThreadPoolExecutor(6) as threads:
        several = list(threads.map(lambda _: opens(), range(6)))
    assert len({one.authorities()[0].certificate for one in several}) == 1
    assert len(rows(several[0], SIGNERS)) == 2
    assert len(rows(several[0], KEYS)) == 2


def test_who_is_killed_while_opening_is_followed_by_one_who_opens(fresh, folder, store, life):
    fresh(root='elsewhere').close()  # a database with tables and nothing else

    def prepare():
        made = folder / str(len(list(folder.iterdir())))
        shutil.copytree(fresh.folder, made)
        return made

    for made in killed_at_each_step(life, prepare, lambda made: a_ca(made, store).close()):
        with_rest = a_ca(made, store)
        assert len(with_rest.authorities()[0].chain) == 1
        assert with_rest.issue(an_order()).certificate
        with_rest._keys.destroy_abandoned()
        with_rest.time = NOW + DAY
        with_rest.publish()
        assert len(rows(with_rest, KEYS)) == 2
        with_rest.close()


def test_a_store_that_makes_no_such_keys_is_a_mistake_in_the_options(folder, store):
    class Rsa:
        def generate_signing_key(self, request):
            raise NotSupported('This store makes no such keys.')

    with pytest.raises(Misconfigured, match=r'\[certificate_authority:plugin\] key_store: This store'):
        a_ca(folder, Rsa())


def test_a_rotation_issues_by_a_new_key_under_the_same_root(ca, opens):
    other = opens()
    before, = ca.authorities()
    old = ca.issue(an_order())
    assert ca.rotate_issuer('issuing').startswith('CN=km Issuing CA G2, serial ')
    after, = other.authorities()
    assert after.name == before.name
    assert after.chain == before.chain
    assert loaded(after.certificate).public_key() != loaded(before.certificate).public_key()
    new = other.issue(an_order())
    assert new.chain[0] == after.certificate
    assert old.chain[0] == before.certificate
    assert ca.rotate_issuer('issuing').startswith('CN=km Issuing CA G3, serial ')


def test_who_is_killed_while_rotating_is_followed_by_one_who_ends_it(ca, opens, life):
    other = opens()
    for _ in killed_at_each_step(life, lambda: None, lambda _: ca.rotate_issuer('issuing')):
        number = len(rows(other, SIGNERS, authority='issuing'))
        other.issue(an_order())
        if any(row.state == 'intended' for row in rows(other, SIGNERS)):
            other.rotate_issuer('issuing')
            assert len(rows(other, SIGNERS, authority='issuing')) == number
        states = [row.state for row in sorted(
            rows(other, SIGNERS, authority='issuing'), key=lambda row: row.generation)]
        assert states == ['superseded'] * (number - 1) + ['current']
    other.time = NOW + DAY
    other._keys.destroy_abandoned()
    assert len(rows(other, KEYS)) == len(rows(other, SIGNERS))


def test_whatever_becomes_of_a_rotation_its_chain_is_of_who_signed_it(ca, opens, life):
    other = opens()
    for _ in killed_at_each_step(life, lambda: None, lambda _: ca.rotate_issuer('issuing')):
        other.rotate_issuer('root')
        other.rotate_issuer('issuing')
        told, = other.authorities()
        loaded(told.certificate).verify_directly_issued_by(loaded(told.chain[0]))


def test_those_who_rotate_at_once_leave_one_in_charge(ca, opens):
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda one: one.rotate_issuer('issuing'), [ca, opens()] * 2))
    states = [row.state for row in rows(ca, SIGNERS, authority='issuing')]
    assert states.count('current') == 1
    assert set(states) == {'current', 'superseded'}
    assert len(rows(ca, KEYS)) == len(states) + 1


def test_nothing_ends_after_what_is_above_it(fresh):
    ca = fresh(root_years=1, issuing_years=5, subordinate_years=5)
    made = ca.make_subordinate(a_subordinate())
    ends = {loaded(der).not_valid_after_utc for der in (made.certificate, *made.chain)}
    assert len(ends) == 1


def test_an_authority_of_a_project_may_name_only_what_the_operator_permits(fresh):
    ca = fresh(subordinate_permitted=['DNS:{project}.example.org', 'IP:10.0.0.0/8', 'directory:O=Alpha'],
               subordinate_excluded=['DNS:secret.alpha.example.org', 'email:example.org'])
    made = ca.make_subordinate(a_subordinate())
    constraints = extension(made.certificate, x509.NameConstraints)
    assert constraints.critical
    assert [str(name.value) for name in constraints.value.permitted_subtrees] == [
        'alpha.example.org', '10.0.0.0/8', '<Name(O=Alpha)>']
    assert [name.value for name in constraints.value.excluded_subtrees] == [
        'secret.alpha.example.org', 'example.org']
    length = extension(made.certificate, x509.BasicConstraints)
    assert length.critical
    assert length.value.path_length == 0
    issued = ca.issue(an_order('www.alpha.example.org', authority=made.name, profile='server'))
    assert issued.chain == (made.certificate, *made.chain)
    for name in ('www.example.org', 'x.secret.alpha.example.org', '*.alpha.example.org'):
        with pytest.raises(Rejected, match='must not give'):
            ca.issue(an_order(name, authority=made.name))


def test_an_authority_of_a_project_is_made_once_and_is_among_the_others(ca, opens):
    request = a_subordinate()
    made = ca.make_subordinate(request)
    assert opens().make_subordinate(request) == made
    assert [told.name for told in ca.authorities()] == ['issuing', request.authority_id]


def test_who_is_killed_while_making_one_is_followed_by_one_who_makes_it_or_has_it_removed(
        ca, opens, life):
    other, numbers = opens(), iter(range(1000))
    for request in killed_at_each_step(
            life, lambda: a_subordinate(subject=f'CN=Ours {next(numbers)}'), ca.make_subordinate):
        made = other.make_subordinate(request)
        assert made.chain == (other.authorities()[0].certificate, *other.authorities()[0].chain)
        assert other.issue(an_order('a.alpha.example.org', authority=made.name)).certificate
    for request in killed_at_each_step(
            life, lambda: a_subordinate(subject=f'CN=Ours {next(numbers)}'), ca.make_subordinate):
        other.remove_subordinate(request.authority_id)
        with pytest.raises(Rejected):
            other.make_subordinate(request)
        assert all(row.key_id is None for row in rows(
            other, SIGNERS, authority=request.authority_id))


@pytest.mark.parametrize(('subject', 'sentence'), [
    ('CN=km Issuing CA', 'above it'), ('CN=KM  Root ca', 'above it'), ('O=No CN', 'exactly one CN'),
    ('CN=a,CN=b', 'exactly one CN'), ('CN=a+O=b', 'stands alone'), ('', 'exactly one CN')])
def test_a_subject_that_would_be_taken_for_another_is_refused(ca, subject, sentence):
    with pytest.raises(Rejected, match=sentence):
        ca.make_subordinate(a_subordinate(subject=subject))


def test_a_subject_that_its_own_certificates_could_not_have_is_refused(fresh):
    ca = fresh(subordinate_permitted=['directory:O=Alpha'])
    with pytest.raises(Rejected, match='permits to the project'):
        ca.make_subordinate(a_subordinate(subject='CN=Ours,O=Beta'))
    assert ca.make_subordinate(a_subordinate(subject='CN=Ours,O=Alpha'))


def test_two_authorities_have_two_subjects(ca):
    ca.make_subordinate(a_subordinate())
    with pytest.raises(Rejected, match='that subject'):
        ca.make_subordinate(a_subordinate('beta', subject='CN=ours,O=ALPHA'))


def test_what_is_no_name_is_refused(ca):
    for content in (b'', b'\x30', bytes(40), b'\x30\x00\x30\x00'):
        request = a_subordinate()
        object.__setattr__(request, 'subject', content)
        with pytest.raises(Rejected):
            ca.make_subordinate(request)


def test_without_a_word_of_the_operator_projects_have_no_authorities(fresh):
    with pytest.raises(Rejected, match='permits no authorities'):
        fresh(subordinate_permitted=[]).make_subordinate(a_subordinate())
    with pytest.raises(Rejected, match='cannot have another below'):
        fresh(path_length=1).make_subordinate(a_subordinate())
    with pytest.raises(Rejected, match='not one that a domain'):
        fresh().make_subordinate(a_subordinate('a.b'))


def test_an_authority_of_a_project_has_none_below_it(ca):
    made = ca.make_subordinate(a_subordinate())
    request = a_subordinate(subject='CN=Below')
    object.__setattr__(request, 'parent', made.name)
    with pytest.raises(Rejected, match='cannot have another below'):
        ca.make_subordinate(request)


def test_an_authority_of_a_project_is_rotated_under_who_is_in_charge(ca):
    made = ca.make_subordinate(a_subordinate())
    ca.rotate_issuer('issuing')
    assert ca.rotate_issuer(made.name).startswith('CN=Ours G2,O=Alpha, serial ')
    after = ca.authorities()[1]
    assert after.name == made.name
    assert after.chain[0] == ca.authorities()[0].certificate != made.chain[0]
    assert extension(after.certificate, x509.NameConstraints).value == extension(
        made.certificate, x509.NameConstraints).value


def test_what_is_not_there_is_not_rotated(ca):
    with pytest.raises(NotFound):
        ca.rotate_issuer('nobody')
    with pytest.raises(NotFound):
        ca.rotate_issuer(f'ocsp:{issuer_id(ca)}')


def test_a_root_is_rotated_and_the_next_issuing_authority_is_under_it(ca):
    root = ca.authorities()[0].chain
    ca.rotate_issuer('root')
    assert ca.authorities()[0].chain == root
    ca.rotate_issuer('issuing')
    assert ca.authorities()[0].chain != root
    assert loaded(ca.authorities()[0].chain[0]).subject.rfc4514_string() == 'CN=km Root CA G2'


def test_a_key_that_was_made_for_nothing_is_destroyed_in_time(ca, store):
    made = ca._keys.make()
    ca.publish()
    assert store.find(made)
    ca.time = NOW + DAY
    ca.publish()
    assert store.find(made) is None
