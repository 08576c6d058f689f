# SPDX-License-Identifier: Apache-2.0
"""Distinguished names as people write them, and as RFC 4514 does."""
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from km.certificates import subjects
from km.errors import Invalid


@pytest.mark.parametrize(('written', 'told'), [
    ('cn=server.example.com,o=example', 'CN=server.example.com,O=example'),
    ('CN=server.example.com, OU=a unit ,O=An Example', 'CN=server.example.com,OU=a unit,O=An Example'),
    ('cn=a;c=de', 'CN=a,C=DE'), ('cn=a+ou=b,o=c', 'CN=a+OU=b,O=c'),
    (r'cn=Example\, Inc.', r'CN=Example\, Inc.'), (r'cn=Example\2C Inc.', r'CN=Example\, Inc.'),
    ('cn="Example, Inc.",o=x', r'CN=Example\, Inc.,O=x'), (r'cn=B\C3\BCcher', 'CN=Bücher'),
    ('cn=Bücher', 'CN=Bücher'), (r'cn=a\ ', r'CN=a\ '), ('cn=a=b', 'CN=a=b'),
    ('2.5.4.3=a', 'CN=a'), ('oid.2.5.4.3=a', 'CN=a'),
    ('emailAddress=a@b.example', '1.2.840.113549.1.9.1=a@b.example'),
    ('dc=example,dc=com', 'DC=example,DC=com'), ('UID=ann', 'UID=ann'), ('', ''), (' ', '')])
def test_a_name_is_parsed(written, told):
    assert subjects.text_of(subjects.parse(written)) == told


@pytest.mark.parametrize('written', [
    'a', 'cn', '=a', 'cn=', 'cn=a,', ',cn=a', 'cn=a,,o=b', 'xx=a', 'cn=a,cn=b', 'cn=#04024869', 'c=DEU',
    'c=9x', 'cn=a\x00', r'cn=a\00', 'cn=a\n', 'cn="a', 'cn=a"b', r'cn=a' + '\\', 'cn=a+', r'cn=\ff',
    'cn=' + 'x' * 65, 'o=' + 'x' * 65, 'cn=' + 'x' * 1100, '9.9.9=a', '1.99=a',
    ','.join(f'dc={number}' for number in range(21)), 'cn=a<b'])
def test_what_is_no_name_is_refused_with_its_sentence(written):
    with pytest.raises(Invalid) as refused:
        subjects.parse(written)
    assert refused.value.sentence.startswith('Invalid subject DN: ')
    assert refused.value.sentence.isprintable()
    assert len(refused.value.sentence) < 1500


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='cno=,+;"\\# .\x00üA12', max_size=30))
def test_no_text_makes_it_fail_otherwise_and_what_is_parsed_is_parsed_again(written):
    try:
        name = subjects.parse(written)
    except Invalid:
        return
    assert subjects.parse(subjects.text_of(name)) == name


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable() and text.strip()))
def test_every_value_survives_being_written(value):
    name = subjects.parse('o="' + value.replace('\\', '\\\\').replace('"', '\\"') + '"')
    assert [attribute.value for attribute in name] == [value]
    assert subjects.parse(subjects.text_of(name)) == name
