# SPDX-License-Identifier: Apache-2.0
"""What an operator may write, and what is said to one who wrote something else."""
import pytest

from km.interfaces import Misconfigured, Unavailable
from tests.unit.plugins.certificate_authority.local_ca.opened import an_order, loaded


@pytest.mark.parametrize(('settings', 'sentence'), [
    ({'key_store': 'other'},
     "key_store: 'other' is no enabled secret store that signs; there are: soft"),
    ({'key_algorithm': 'rsa', 'key_bits': 1024}, 'key_bits: rsa keys have 2048 or 3072 or 4096 bits'),
    ({'key_algorithm': 'ed25519', 'key_bits': 255}, 'key_bits: ed25519 keys have 256 bits'),
    ({'subject': 'nonsense'}, "subject: 'nonsense' is no name"),
    ({'subject': 'O=Example'}, 'subject: an authority has exactly one CN'),
    ({'root_subject': 'CN=' + 'x' * 65}, 'root_subject: '),
    ({'root_subject': 'CN=KM issuing ca'}, 'root_subject: it is the same as subject'),
    ({'profile': 'none'}, "profile: there is no profile 'none'; there are: client, peer, server"),
    ({'profiles': '/nowhere.toml'}, 'profiles: .*nowhere'),
    ({'publication_url': 'ftp://km.test/pki'}, 'publication_url: it is not an http URL'),
    ({'publication_url': 'km.test/pki'}, 'publication_url: it is not an http URL'),
    ({'publication_url': 'http://km.test/pki?x'}, 'publication_url: it is not an http URL'),
    ({'publication_url': 'http://kä.test/pki'}, 'publication_url: it is not an http URL'),
    ({'publication_url': 'http://km.test/a b'}, 'publication_url: it is not an http URL'),
    ({'publication_url': 'http://[km.test/pki'}, 'publication_url: it is not an http URL'),
    ({'publication_url': 'http://km.test:port/pki'}, 'publication_url: it is not an http URL'),
    ({'connection': 'mysql+pymysql://u:p@km.test:port/x'}, 'connection: it is not a database URL'),
    ({'subordinate_permitted': ['example.org']}, 'subordinate_permitted: .*begins with none'),
    ({'subordinate_excluded': ['IP:x']}, 'subordinate_excluded: .*not a constraint'),
    ({'connection': 'nonsense'}, 'connection: it is not a database URL'),
    ({'connection': 'nonsense://x'}, 'connection: it is not a database URL'),
])
def test_a_mistake_is_told_with_its_section_and_option(opens, settings, sentence):
    with pytest.raises(Misconfigured, match=r'^\[certificate_authority:plugin\] ' + sentence) as failure:
        opens(**settings)
    assert failure.value.sentence.endswith('.')


def test_a_database_that_does_not_answer_is_told_of(opens):
    with pytest.raises(Unavailable, match=r'\[certificate_authority:plugin\] connection: '):
        opens(connection='sqlite:////nowhere/at/all')


@pytest.mark.parametrize(('algorithm', 'bits', 'size'), [
    ('ec', None, 384), ('ec', 256, 256), ('ec', 521, 521), ('rsa', 2048, 2048), ('ed25519', None, None)])
def test_keys_are_of_the_kind_that_was_asked_for(opens, algorithm, bits, size):
    ca = opens(key_algorithm=algorithm, key_bits=bits)
    issued = ca.issue(an_order())
    for der in issued.chain:
        assert getattr(loaded(der).public_key(), 'key_size', None) == size
    loaded(issued.certificate).verify_directly_issued_by(loaded(issued.chain[0]))
    assert ca.check().startswith('issuing: ')


def test_names_are_as_operators_write_them(opens):
    ca = opens(subject='CN=Ours, O=Example\\, Inc.,  C=CH', root_subject='CN=Root')
    assert loaded(ca.authorities()[0].certificate).subject.rfc4514_string() == (
        'CN=Ours,O=Example\\, Inc.,C=CH')
