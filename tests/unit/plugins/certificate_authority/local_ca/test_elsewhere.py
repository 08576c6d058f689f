# SPDX-License-Identifier: Apache-2.0
"""A root elsewhere: the request, the certificate that comes back, and which ones are not taken."""
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from km.interfaces import NotFound, NotSupported, Rejected, Unavailable
from km.plugins.certificate_authority.local_ca import building
from km.plugins.certificate_authority.local_ca.tables import KEYS, SIGNERS
from tests.unit.plugins.certificate_authority.local_ca.opened import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    a_subordinate,
    an_order,
    extension,
    killed_at_each_step,
    loaded,
    rows,
)


def a_name(common):
    return x509.Name.from_rfc4514_string(f'CN={common}')


class Root:
    """An authority elsewhere, and one below it."""

    def __init__(self, path_length=3):
        self.key, self.middle_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root = building.authority(a_name('Elsewhere'), self.key.public_key(), path_length=path_length)
        self.root = self.sign(building.by_itself(root, a_name('Elsewhere'), self.key.public_key()))
        self.middle = self.sign(building.by(building.authority(
            a_name('Middle'), self.middle_key.public_key(), path_length=2), loaded(self.root)))

    def sign(self, builder, *, key=None, begin=NOW - HOUR, end=NOW + 1000 * DAY):
        return building.valid(builder, begin, end).serial_number(x509.random_serial_number()).sign(
            key or self.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def answer(self, request, *, subject=None, public_key=None, builder=None, **times):
        """What it says to a request: the certificate, and those above it."""
        asked = x509.load_der_x509_csr(request)
        builder = builder or building.authority(
            subject or asked.subject, public_key or asked.public_key(), path_length=1)
        made = self.sign(building.by(builder, loaded(self.middle)), key=self.middle_key, **times)
        return made, (self.middle, self.root)


@pytest.fixture
def root():
    return Root()


@pytest.fixture
def ca(opens):
    return opens(root='elsewhere')


def test_until_a_certificate_is_installed_nothing_is_issued_and_the_operator_is_told_why(ca):
    with pytest.raises(Unavailable, match='km-manage ca request'):
        ca.issue(an_order())
    told, = ca.authorities()
    assert (told.name, told.certificate, told.chain) == ('issuing', None, ())
    assert ca.check() == 'issuing: waits for its certificate'
    assert ca.publish() == {}


def test_a_request_is_for_an_authority_and_one_key_until_its_certificate_is_here(ca, opens):
    requests = [x509.load_der_x509_csr(one.issuer_request('issuing')) for one in (ca, opens(
        root='elsewhere'), ca)]
    assert all(request.is_signature_valid for request in requests)
    assert all(request.public_key() == requests[0].public_key() for request in requests)
    assert requests[0].subject == a_name('km Issuing CA')
    asked = requests[0].extensions.get_extension_for_class(x509.BasicConstraints)
    assert asked.critical
    assert asked.value == x509.BasicConstraints(ca=True, path_length=1)


def test_what_is_installed_issues_with_its_whole_chain(ca, opens, root):
    certificate, chain = root.answer(ca.issuer_request('issuing'))
    line = ca.install_issuer('issuing', certificate, chain)
    assert line.startswith('CN=km Issuing CA, serial ')
    assert opens(root='elsewhere').install_issuer('issuing', certificate, chain) == line
    issued = ca.issue(an_order())
    assert issued.chain == (certificate, *chain)
    loaded(issued.certificate).verify_directly_issued_by(loaded(certificate))
    made = ca.make_subordinate(a_subordinate())
    assert made.chain == (certificate, *chain)
    assert len(ca.publish()) == 2


def test_another_one_takes_over_when_it_is_installed_and_not_before(ca, root):
    first = root.answer(ca.issuer_request('issuing'))
    ca.install_issuer('issuing', *first)
    request = ca.issuer_request('issuing')
    assert ca.issue(an_order()).chain[0] == first[0]
    second = root.answer(request)
    assert 'CN=km Issuing CA G2' in ca.install_issuer('issuing', *second)
    assert ca.issue(an_order()).chain[0] == second[0]


def test_who_is_killed_while_installing_is_followed_by_one_who_installs(opens, root, life):
    other, ca = opens(root='elsewhere'), opens(root='elsewhere')
    for answer in killed_at_each_step(
            life, lambda: root.answer(other.issuer_request('issuing')),
            lambda answer: ca.install_issuer('issuing', *answer)):
        other.install_issuer('issuing', *answer)
        assert other.issue(an_order()).chain[0] == answer[0]
    states = [row.state for row in rows(other, SIGNERS)]
    assert states.count('current') == 1


def test_who_is_killed_while_requesting_leaves_one_key(opens, life):
    other, ca = opens(root='elsewhere'), opens(root='elsewhere')
    for _ in killed_at_each_step(life, lambda: None, lambda _: ca.issuer_request('issuing')):
        pass
    other.issuer_request('issuing')
    other.time = NOW + DAY
    other.publish()
    assert len(rows(other, KEYS)) == len(rows(other, SIGNERS)) == 1


def without(builder, kind):
    kept = [one for one in builder._extensions if not isinstance(one.value, kind)]
    made = x509.CertificateBuilder().subject_name(builder._subject_name).public_key(builder._public_key)
    for one in kept:
        made = made.add_extension(one.value, one.critical)
    return made


def wrong_answers(root, request):
    asked = x509.load_der_x509_csr(request)
    sound = building.authority(asked.subject, asked.public_key(), path_length=1)
    good, chain = root.answer(request)
    stranger = Root()
    leaf = without(sound, x509.BasicConstraints).add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True)
    return {
        'not for the key': root.answer(request, public_key=root.key.public_key()),
        'not one of an authority': root.answer(request, builder=leaf),
        'may issue certificates': root.answer(request, builder=without(sound, x509.BasicConstraints)),
        'key may sign certificates and CRLs': root.answer(
            request, builder=without(sound, x509.KeyUsage)),
        'not valid now': root.answer(request, end=NOW - MINUTE),
        'exactly one CN': root.answer(request, subject=x509.Name.from_rfc4514_string('O=Nobody')),
        'certificates above it belong': (good, ()),
        'A signature in the chain': (good, (stranger.middle, stranger.root)),
        'do not fit each other': (good, chain[::-1]),
        'cannot be read': (good[:-1], chain),
    }


@pytest.mark.parametrize('sentence', [
    'not for the key', 'not one of an authority', 'may issue certificates',
    'key may sign certificates and CRLs', 'not valid now', 'exactly one CN',
    'certificates above it belong', 'A signature in the chain', 'do not fit each other',
    'cannot be read'])
def test_what_cannot_be_an_issuer_is_not_installed(ca, root, sentence):
    answer = wrong_answers(root, ca.issuer_request('issuing'))[sentence]
    with pytest.raises(Rejected, match=sentence):
        ca.install_issuer('issuing', *answer)
    with pytest.raises(Unavailable):
        ca.issue(an_order())


def test_a_chain_that_allows_no_authority_so_far_below_is_not_installed(ca):
    short = Root(path_length=1)
    with pytest.raises(Rejected, match='so far below'):
        ca.install_issuer('issuing', *short.answer(ca.issuer_request('issuing')))


def test_nothing_is_installed_that_was_not_requested(ca, opens, root):
    other = opens(root='elsewhere')
    certificate, chain = root.answer(other.issuer_request('issuing'))
    ca.install_issuer('issuing', certificate, chain)
    with pytest.raises(Rejected, match='Nothing was requested'):
        ca.install_issuer('issuing', chain[0], chain[1:])


def test_nothing_comes_from_elsewhere_for_who_is_signed_here(folder, opens, ca):
    with pytest.raises(NotSupported, match='from elsewhere'):
        ca.rotate_issuer('issuing')
    with pytest.raises(NotFound):
        ca.issuer_request('nobody')
    with pytest.raises(NotSupported, match='signed here'):
        opens(connection=f'sqlite:///{folder}/own.sqlite').issuer_request('issuing')


def test_a_root_that_moves_elsewhere_and_back_goes_on_issuing(folder, opens, root):
    own = opens()
    before = own.issue(an_order())
    away = opens(root='elsewhere')
    assert away.issue(an_order()).chain == before.chain
    away.issuer_request('issuing')
    assert own.rotate_issuer('issuing').startswith('CN=km Issuing CA G2')
    answer = root.answer(away.issuer_request('issuing'))
    away.install_issuer('issuing', *answer)
    assert own.issue(an_order()).chain[0] == answer[0]
    assert extension(answer[0], x509.BasicConstraints).value.ca
