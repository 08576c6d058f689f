# SPDX-License-Identifier: Apache-2.0
"""How the old file is read, and the new one written."""
import pytest

from km.conf.barbican_files import NewFile, OldFile
from km.errors import Misconfigured


@pytest.fixture
def read(tmp_path):
    def read(text):
        (tmp_path / 'some.conf').write_bytes(text if isinstance(text, bytes) else text.encode())
        return OldFile(str(tmp_path / 'some.conf'))

    return read


@pytest.mark.parametrize('value', [
    'plain', '  outer blanks ', '"quoted"', "'", '"', "'a' and 'b'", 'a = b # no comment', '$$ %(x)s',
    'one,\ntwo,\nthree', 'ünïcode'])
def test_a_value_is_read_back_as_it_was(read, value):
    new = NewFile()
    new.put('section', 'option', value)
    new.put('section', 'another', 'x')
    assert read(new.text()).sections == {'section': {'option': [value], 'another': ['x']}}


def test_names_are_found_however_they_are_spelled(read):
    old = read('[Queue]\nENABLE = Yes\n[secretstore:Soft]\nglobal-default = on\n[queue]\nenable=\n')
    assert old.is_on('queue', 'enable')
    assert old.is_on('secretstore:soft', 'global_default')
    assert not old.is_on('queue', 'nothing')


def test_lists_may_be_given_by_commas_and_by_repeating(read):
    old = read('[crypto]\nplugins = a, b,\nplugins = c\n')
    assert old.every('crypto', 'plugins') == ['a', 'b', 'c']
    assert old.last('crypto', 'plugins') == 'c'


@pytest.mark.parametrize('text', [
    'kek = hidden\n', '[simple_crypto_plugin]\nhidden\n', '[hidden\n', '[]\nhidden=1\n',
    '[a]\n= hidden\n', b'[a]\nhidden = \xff\n'])
def test_what_is_no_ini_is_refused_without_saying_what_it_holds(read, text):
    with pytest.raises(Misconfigured, match='is no INI file') as refused:
        read(text)
    assert 'hidden' not in refused.value.sentence
