# SPDX-License-Identifier: Apache-2.0
"""Steps of km's work at which PostgreSQL makes it wait, so that it can be killed exactly there.

Nothing in km knows of this. A trigger on a table waits for a lock that the test holds; what the
killed process had asked for is then either ended by the server, as when that fails too, or done, as
servers do for clients that are gone.
"""
import contextlib
import time
from dataclasses import dataclass

import sqlalchemy as sa

from tests.functional.open_km import VICTIM

BEFORE, DONE, COMMITTED = 'before', 'done', 'committed'

_CIPHERTEXT = ('blobs', 'project_keys')
_WAIT_SECONDS = 5
_LOCK = 4711

_FUNCTION = f"""
CREATE SEQUENCE stop_rows;
CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('stop_rows') = TG_ARGV[0]::bigint THEN
        PERFORM pg_advisory_xact_lock({_LOCK});
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
END $$
"""
_TRIGGERS = {
    BEFORE: 'CREATE TRIGGER stop BEFORE {0.event} ON {0.table} ',
    DONE: 'CREATE TRIGGER stop AFTER {0.event} ON {0.table} ',
    COMMITTED: 'CREATE CONSTRAINT TRIGGER stop AFTER {0.event} ON {0.table} '
               'DEFERRABLE INITIALLY DEFERRED ',
}
_WAITING = sa.text(
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = "
    '(SELECT oid FROM pg_database WHERE datname = current_database())')
_VICTIMS = sa.text('SELECT count(*) FROM pg_stat_activity WHERE application_name = :name')


@dataclass(frozen=True)
class Step:
    """A step of km's work.

    :param told: what a reader calls it.
    :param when: ``BEFORE`` the statement; ``DONE``, but not committed; or ``COMMITTED``, which the
        process asked for and never heard of.
    :param event: INSERT, UPDATE or DELETE.
    :param row: which of the rows that this request so treats in ``table``, from 1.
    """

    told: str
    when: str
    event: str
    table: str
    row: int = 1

    def __str__(self):
        return self.told


class Stops:
    """The two databases of a km, which can make its processes wait."""

    def __init__(self, metadata, ciphertext):
        self._metadata, self._ciphertext = (
            engine.execution_options(isolation_level='AUTOCOMMIT').connect()
            for engine in (metadata, ciphertext))
        for connection in (self._metadata, self._ciphertext):
            connection.exec_driver_sql(_FUNCTION)

    def close(self):
        self._metadata.close()
        self._ciphertext.close()

    @contextlib.contextmanager
    def at(self, step):
        """Let the victim wait at ``step`` until it is killed in the block; give a function that waits
        until it is there. After the block no database works for it any more."""
        connection = self._ciphertext if step.table in _CIPHERTEXT else self._metadata
        connection.exec_driver_sql(f'SELECT pg_advisory_lock({_LOCK})')
        connection.exec_driver_sql("SELECT setval('stop_rows', 1, false)")
        connection.exec_driver_sql(
            _TRIGGERS[step.when].format(step) + f'FOR EACH ROW EXECUTE FUNCTION stop({step.row})')
        try:
            yield lambda: _until(lambda: connection.scalar(_WAITING), f'it never came to {step}')
            if step.when != COMMITTED:
                connection.exec_driver_sql(
                    f'SELECT pg_terminate_backend({connection.scalar(_WAITING)})')
        finally:
            connection.exec_driver_sql(f'SELECT pg_advisory_unlock({_LOCK})')
            _until(lambda: not connection.scalar(_VICTIMS, {'name': VICTIM}), 'it lives on')
            connection.exec_driver_sql(f'DROP TRIGGER stop ON {step.table}')


def _until(true, otherwise):
    deadline = time.monotonic() + _WAIT_SECONDS
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.005)
