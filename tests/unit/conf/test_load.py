# SPDX-License-Identifier: Apache-2.0
"""Reading km.conf."""
import pytest

from km.conf.load import load
from km.errors import Misconfigured


def test_a_line_that_cannot_be_parsed_is_named_by_its_number_alone(tmp_path):
    conf = tmp_path / 'km.conf'
    conf.write_text('[database]\nhidden\n')
    with pytest.raises(Misconfigured) as refused:
        load(files=[str(conf)])
    assert f'{conf} is no INI file: line 2' in refused.value.sentence
    assert 'hidden' not in refused.value.sentence
