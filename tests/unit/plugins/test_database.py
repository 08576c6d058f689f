# SPDX-License-Identifier: Apache-2.0
"""Databases of plugins: what operators may get wrong about them."""
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from km.plugins.database import PluginDatabase


@pytest.mark.parametrize('url', [
    'nonsense', 'sqlite://', 'mysql+pymysql://u:p@127.0.0.1:port/x',
    'mysql+pymysql://u:p@127.0.0.1:1/x?color=red', 'mysql+pymysql://u:p@127.0.0.1:1/x?charset=nope',
    'mysql+pymysql://u:p@127.0.0.1:1/x?ssl_ca=/nowhere', 'mysql+pymysql://u:p@a..test/x',
    'postgresql+psycopg://u:p@a..test/x'])
def test_a_url_that_no_database_can_have_is_told_as_one(url):
    with pytest.raises(ArgumentError) as told:
        PluginDatabase(url, sa.MetaData(), name='plugin', max_connections=1, seconds=1)
    assert url not in str(told.value)
