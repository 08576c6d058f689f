# SPDX-License-Identifier: Apache-2.0
"""Every failure leaves in one shape, with words for the client and none too many."""
import sqlite3

import pytest
from sqlalchemy.exc import TimeoutError
from webob import Request, Response

from km import errors
from km.acl.rules import RULES
from km.api.faults import STATUS, Faults
from km.db.engine import Database

POST = next(rule for rule in RULES if rule.action == 'secrets:post')


@pytest.fixture
def no_connection_free(folder):
    """What a database raises that has as many requests as connections."""
    database = Database(f'sqlite:///{folder}/km.sqlite', max_connections=1, wait_seconds=0.01)
    with database.statement(), pytest.raises(TimeoutError) as failure:
        database.statement()
    database.close()
    return failure.value


def answer(failure):
    """What a client gets when an app fails so."""
    def app(environ, start_response):
        environ['km.rule'] = POST
        environ['km.spoken'] = [('OpenStack-API-Version', 'key-manager 1.0')]
        if isinstance(failure, Response):
            return failure(environ, start_response)
        raise failure
    return Request.blank('/v1/secrets').get_response(Faults(app))


@pytest.mark.parametrize('kind', errors.BY_KIND.values())
def test_every_kind_has_a_status_or_is_a_500_without_its_words(kind, caplog):
    told = answer(kind('A sentence.'))
    assert told.status_int == STATUS.get(kind, 500)
    assert set(told.json) == {'code', 'title', 'description'}
    assert told.headers['OpenStack-API-Version'] == 'key-manager 1.0'
    if told.status_int == 500:
        assert told.json['description'] == (
            'Secret creation failure seen - please contact site administrator.')
        assert 'A sentence.' in caplog.text


@pytest.mark.parametrize(('failure', 'said'), [
    (errors.Invalid('It is wrong.'), 'Secret creation issue seen - It is wrong.'),
    (errors.Rejected('Too long.'), 'Secret creation issue seen - Too long.'),
    (errors.NotFound('Secret not found.'), 'Not Found. Secret not found.'),
    (errors.NotFound(''), ''), (errors.Conflict('It is there.'), 'It is there.'),
    (errors.Malformed('Malformed JSON'), 'Malformed JSON')])
def test_the_words_are_those_of_the_contract(failure, said):
    assert answer(failure).json['description'] == said


def test_a_backend_that_is_away_is_worth_another_try(caplog):
    told = answer(errors.Unavailable('It does not answer.'))
    assert (told.status_int, told.headers['Retry-After']) == (503, '5')
    assert 'It does not answer.' in caplog.text


def test_a_bug_is_in_the_log_with_its_trace_and_nowhere_else(caplog):
    told = answer(ZeroDivisionError('words of the bug'))
    assert told.status_int == 500
    assert 'words of the bug' not in told.text
    assert 'ZeroDivisionError: words of the bug' in caplog.text


@pytest.mark.parametrize('failure', [
    Response('in HTML', status=401), Response(json={'error': {'title': 'Other'}}, status=401)])
def test_an_error_of_a_library_gets_the_shape_and_keeps_its_challenge(failure):
    failure.headers['WWW-Authenticate'] = 'Keystone uri="x"'
    told = answer(failure)
    assert told.json == {'code': 401, 'title': 'Unauthorized',
                         'description': 'The request you have made requires authentication.'}
    assert told.headers['WWW-Authenticate'] == 'Keystone uri="x"'


def test_a_store_that_is_away_is_503_and_nothing_is_left(house, ann, monkeypatch):
    def away(self, request):
        raise errors.Unavailable('The store is away.')
    monkeypatch.setattr(type(house.registry.secret_stores['soft']), 'store', away)
    told = ann.post('/v1/secrets', {'payload': 'x', 'payload_content_type': 'text/plain'})
    assert (told.status_int, told.json['description']) == (503, 'The store is away.')
    with house.database.statement() as connection:
        assert connection.exec_driver_sql('SELECT count(*) FROM secrets').scalar() == 0


def test_a_payload_that_does_not_open_is_500_and_never_wrong_bytes(house, ann, folder):
    path = ann.secret('unmistakable')
    with sqlite3.connect(folder / 'soft.sqlite') as rows:
        rows.execute('UPDATE blobs SET blob = zeroblob(length(blob))')
    told = ann.get(path + '/payload')
    assert told.status_int == 500
    assert told.json['description'] == (
        'Secret payload retrieval failure seen - please contact site administrator.')


def test_a_metadata_database_that_is_away_is_503(house, ann, folder):
    path = ann.secret()
    with sqlite3.connect(folder / 'km.sqlite') as rows:
        rows.execute('ALTER TABLE secrets RENAME TO elsewhere')
    assert ann.get(path).status_int == 503


def test_too_few_connections_are_a_reason_to_ask_again(no_connection_free):
    told = answer(no_connection_free)
    assert (told.status_int, told.headers['Retry-After']) == (503, '5')
    assert 'in use' in told.json['description']
