# SPDX-License-Identifier: Apache-2.0
"""What goes wrong between km and an EJBCA: clients hear little, operators hear what it is."""
import json
import time

import pytest

from km.interfaces import Unavailable
from km.plugins.certificate_authority.ejbca import failures, wire
from km.plugins.certificate_authority.ejbca.plugin import Ejbca
from km.testing import open_authority
from tests.functional.certificates.ejbca_orders import assert_fits, order, revocation
from tests.functional.servers import HOST, reserved_port


def silent(caplog, sentence, call, *arguments):
    """Insist that a client hears that there is no answer, and an operator why."""
    with pytest.raises(Unavailable) as error:
        call(*arguments)
    assert error.value.sentence == failures.SILENT
    assert sentence in caplog.text


def does_not_open(sentence, **options):
    """Insist that a plugin does not open, and says why."""
    with pytest.raises(Unavailable) as error:
        open_authority(Ejbca, **options)
    assert error.value.sentence.startswith(sentence)


def test_nothing_listens(server):
    with reserved_port() as port:
        does_not_open(failures.NOTHING_LISTENS, **server.options(url=f'https://{HOST}:{port}/ejbca'))


def test_ejbca_is_by_an_authority_that_is_not_trusted(server):
    does_not_open(failures.NO_TRUST, **server.options(ca_file=f'{server.home}/anchors.pem'))


def test_ejbca_is_not_the_host_that_was_asked_for(server):
    does_not_open(failures.NO_TRUST, **server.options(url=server.url.replace(HOST, 'localhost')))


def test_a_certificate_without_a_role_is_told_to_operators(server):
    does_not_open(failures.FORBIDDEN, **server.options('stranger'))


def test_a_token_without_a_role_is_told_to_operators(server):
    does_not_open(failures.FORBIDDEN, **server.token_options('stranger'))


def test_no_certificate_where_one_is_needed_is_a_broken_handshake(server):
    server.set(want_only=False)
    with pytest.raises(Unavailable) as error:
        open_authority(Ejbca, **server.token_options())
    assert error.value.sentence.startswith((failures.WE_ARE_REFUSED, failures.HUNG_UP))


def test_a_client_secret_that_is_wrong_gives_no_token(server, folder):
    secret = folder / 'secret'
    secret.touch(mode=0o600)
    secret.write_text('wrong')
    does_not_open(failures.TOKEN_REFUSED, **server.token_options(client_secret_file=str(secret)))


def test_a_token_url_that_gives_no_token_is_told(server):
    does_not_open(failures.TOKEN_SILENT, **server.token_options(token_url=f'{server.url}/v1/nothing'))


def test_the_protocol_is_off(server, opened, caplog):
    plugin = opened()
    server.set(protocol_on=False)
    silent(caplog, failures.FORBIDDEN, plugin.issue, order())


def test_a_token_is_used_until_it_ends_and_fetched_again_when_it_is_refused(server, opened):
    plugin = opened(server.token_options())
    plugin.issue(order())
    plugin.issue(order())
    assert server.tell('tokens') == 1
    server.tell('tokens', 'forget')
    plugin.issue(order())
    assert server.tell('tokens') == 2
    assert len(server.certificates) == 3


def test_a_token_that_ends_soon_is_not_used_again(server, opened):
    server.set(token_seconds=5)
    plugin = opened(server.token_options())
    plugin.check()
    assert server.tell('tokens') > 2


def test_a_token_that_is_refused_twice_is_told_and_not_asked_for_for_ever(server, opened, caplog):
    plugin = opened(server.token_options())
    server.set(token_seconds=0)
    server.tell('tokens', 'forget')
    silent(caplog, failures.NO_TOKEN, plugin.issue, order())
    assert server.tell('tokens') == 2


@pytest.mark.parametrize('status', [500, 502, 503, 429])
def test_a_failure_of_ejbca_is_told_with_what_it_says(server, opened, caplog, status):
    plugin = opened()
    server.go_wrong('status', path='pkcs10enroll', status=status, message='Some trouble.')
    silent(caplog, f'EJBCA failed with status {status}: Some trouble.', plugin.issue, order())


@pytest.mark.parametrize('status', [404, 400, 200])
def test_the_page_of_another_server_is_no_refusal(server, opened, caplog, status):
    plugin = opened()
    server.go_wrong('page', path='search', status=status)
    silent(caplog, 'EJBCA', plugin.issue, order())
    server.go_wrong('page', path='pkcs10enroll', status=status)
    silent(caplog, failures.NOT_EJBCA, plugin.issue, order())
    assert server.certificates == []


@pytest.mark.parametrize('body', [
    [], {}, {'certificates': 'x'}, {'certificates': [{'certificate': 'MAA='}]},
    {'certificates': [{'certificate': 5}]}, {'certificates': [5]}], ids=str)
def test_an_answer_that_is_not_as_ejbcas_are_is_none(server, opened, caplog, body):
    plugin = opened()
    server.go_wrong('body', path='search', status=200, body=body)
    silent(caplog, 'EJBCA', plugin.issue, order())


@pytest.mark.parametrize(('path', 'body'), [
    ('/ca', {'certificate_authorities': 5}), ('download', {'no': 'certificate'}),
    ('getLatestCrl', {'crl': 'MAA='})])
def test_a_check_finds_out_what_does_not_answer_as_ejbca_does(server, opened, path, body):
    plugin = opened()
    server.go_wrong('body', path=path, status=200, body=body)
    with pytest.raises(Unavailable, match='not the REST interface of EJBCA'):
        plugin.check()


@pytest.mark.parametrize('told', [
    {'access_token': 'a', 'token_type': 'Bearer', 'expires_in': float('nan')},
    {'access_token': 'a b', 'token_type': 'Bearer'}, {'access_token': 'a', 'token_type': 'mac'},
    {'access_token': 5, 'token_type': 'Bearer'}, {'token_type': 'Bearer'}, []], ids=str)
def test_a_token_that_is_not_as_it_should_be_is_none(server, opened, told):
    plugin = opened(server.token_options())
    with pytest.raises(Unavailable) as error:
        plugin._connection._tokens._read(json.dumps(told).encode())
    assert error.value.operators == failures.TOKEN_SILENT


def test_a_redirect_is_not_followed(server, opened, caplog):
    plugin = opened()
    server.go_wrong('redirect', path='pkcs10enroll', to=f'{server.url}/v1/elsewhere')
    silent(caplog, failures.REDIRECTS, plugin.issue, order())
    assert server.calls == ['POST search', 'POST pkcs10enroll']


def test_an_answer_that_does_not_end_is_not_read_to_its_end(server, opened, caplog):
    plugin = opened()
    server.go_wrong('huge', path='search', bytes=2_000_000)
    silent(caplog, failures.TOO_LONG, plugin.issue, order())


def test_a_slow_answer_is_not_waited_for_and_its_certificate_is_found(server, opened, caplog):
    plugin, placed = opened(http_timeout_seconds=0.3), order()
    server.go_wrong('slow', path='pkcs10enroll', seconds=0.8)
    began = time.monotonic()
    with pytest.raises(Unavailable) as error:
        plugin.issue(placed)
    assert time.monotonic() - began < 0.7
    assert failures.TOO_SLOW in caplog.text
    assert error.value.retry_after_seconds == 3  # for it to end first
    assert_fits(plugin.issue(placed), placed, server.root)
    assert len(server.certificates) == 1


def test_an_answer_that_drips_is_not_waited_for(server, opened, caplog):
    plugin = opened(http_timeout_seconds=0.3)
    server.go_wrong('drip', path='search', seconds=2)
    began = time.monotonic()
    silent(caplog, failures.TOO_SLOW, plugin.issue, order())
    assert time.monotonic() - began < 0.7


def test_nothing_of_the_environment_is_used(server, opened, folder, monkeypatch):
    (folder / 'netrc').write_text(f'machine {HOST} login stranger password wrong\n')
    for name, value in (('HTTPS_PROXY', 'http://127.0.0.1:9'), ('REQUESTS_CA_BUNDLE', '/dev/null'),
                        ('NETRC', str(folder / 'netrc'))):
        monkeypatch.setenv(name, value)
    assert opened(server.token_options()).check()


def test_renewed_files_are_used_for_new_connections(server, opened, folder):
    files = {name: folder / name for name in ('km.pem', 'km.key')}
    for name, path in files.items():
        path.touch(mode=0o600)
        path.write_bytes((server.home / name).read_bytes())
    plugin = opened(client_certificate_file=str(files['km.pem']), client_key_file=str(files['km.key']))
    for name, path in files.items():
        path.write_bytes((server.home / name.replace('km', 'stranger')).read_bytes())
    plugin._connection.close()
    with pytest.raises(Unavailable, match='does not let km do this'):
        plugin.check()


def test_no_secret_is_in_a_log_or_a_repr(server, opened, caplog):
    caplog.set_level('DEBUG')
    plugin = opened(server.token_options())
    placed = order()
    plugin.revoke(revocation(plugin.issue(placed)))
    secret = (server.home / 'km.secret').read_text().strip()
    token = plugin._connection._tokens.bearer()
    told = caplog.text + repr(plugin._connection._tokens._kept) + repr(wire.Reply(200, b''))
    assert secret not in told
    assert token not in told


def test_an_authority_that_is_not_there_is_told_at_start(server):
    does_not_open(failures.NO_SUCH_CA, **server.options(certificate_authority='nobody'))


def test_a_url_that_leads_elsewhere_is_told_at_start(server):
    does_not_open(failures.NOT_EJBCA, **server.options(url=f'{server.url}/more'))
