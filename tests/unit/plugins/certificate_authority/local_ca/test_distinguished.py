# SPDX-License-Identifier: Apache-2.0
"""Names of signers: read, compared, and told apart by generation."""
import pytest
from cryptography import x509

from km.plugins.certificate_authority.local_ca import distinguished
from km.plugins.certificate_authority.local_ca.distinguished import parse


def test_a_name_is_read_from_its_der():
    name = parse('CN=é,O=Example+OU=Unit,C=CH')
    assert distinguished.load(name.public_bytes()) == name


@pytest.mark.parametrize('content', [b'', b'\x30', b'\x31\x00', bytes(99), b'\x30\x00\x30\x00'])
def test_what_is_no_name_is_not_read(content):
    with pytest.raises(ValueError, match='asn1'):
        distinguished.load(content)


@pytest.mark.parametrize(('one', 'other', 'same'), [
    ('CN=a,O=b', 'CN=A, O=B', True), ('CN=a  b', 'CN=A B', True), ('CN=a,O=b', 'O=b,CN=a', False),
    ('CN=a+O=b', 'O=b+CN=a', True), ('CN=a', 'O=a', False), ('CN=a', 'CN=a,O=b', False)])
def test_names_are_the_same_to_who_compares_them_as_verifiers_do(one, other, same):
    assert (distinguished.digest(parse(one)) == distinguished.digest(parse(other))) is same


def test_successors_have_their_number_in_their_name():
    assert distinguished.of_generation(parse('CN=a,O=b'), 1) == parse('CN=a,O=b')
    assert distinguished.of_generation(parse('CN=a,O=b'), 12) == parse('CN=a G12,O=b')
    long = distinguished.of_generation(parse('CN=' + 'x' * 64), 2)
    assert long == parse('CN=' + 'x' * 61 + ' G2')


def test_a_blank_that_belongs_to_a_value_stays():
    assert parse('CN=a\\, b,  O=c').rfc4514_string() == 'CN=a\\, b,O=c'
    assert isinstance(parse('CN=a'), x509.Name)
