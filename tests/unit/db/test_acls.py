# SPDX-License-Identifier: Apache-2.0
"""ACLs in the database."""
import pytest
from sqlalchemy import event

from km.db import acls


@pytest.mark.parametrize('change', [
    lambda connection, clock, of: acls.put(
        connection, 'secret', of, project_access=True, users=['eve'], now=clock()),
    lambda connection, clock, of: acls.delete(connection, 'secret', of, now=clock())])
def test_every_change_takes_the_row_first_so_that_two_cannot_mix(house, ann, clock, change):
    of = ann.secret().rpartition('/')[2]
    said = []
    event.listen(house.database.engine, 'before_cursor_execute',
                 lambda _c, _k, statement, *_: said.append(statement.split()[:3]))
    with house.database.transaction() as connection:
        assert change(connection, clock, of)
    assert said[0][:2] == ['UPDATE', 'secrets']
    assert any('acl_users' in words for words in said[1:])
