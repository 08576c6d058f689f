# SPDX-License-Identifier: Apache-2.0
"""When to renew, by what RFC 9773 shows and by answers that no real server gives on demand."""
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from km.interfaces import Unavailable
from km.plugins.certificate_authority.acme.renewal import certificate_id

#: The authority key identifier, the serial number and what they come to (RFC 9773, 4.1).
ISSUER = bytes.fromhex('69885b6b87464041e1b37b847ba0ae2cde01c8d4')
SERIAL, KNOWN = 0x87654321, 'aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE'


def a_certificate(issuer, serial):
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(
        x509.Name([])).public_key(key.public_key()).serial_number(serial).not_valid_before(
        now).not_valid_after(now + timedelta(days=1))
    if issuer is not None:
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier(issuer, None, None), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


LEAF = a_certificate(ISSUER, SERIAL)
WINDOW = {'start': '2030-01-02T03:04:05Z', 'end': '2030-01-03T05:04:05+02:00'}


@pytest.fixture
def says(server, opened):
    """Has the authority answer so, and gives the window that the plugin makes of it."""
    server.directory['renewalInfo'] = f'{server.url}/renewal'

    def window(*answer):
        server.says(f'/renewal/{KNOWN}', *answer)
        return opened().renewal_window(LEAF)

    return window


def test_a_certificate_is_named_as_the_standard_shows():
    assert certificate_id(LEAF) == KNOWN


@pytest.mark.parametrize(('serial', 'end'), [(0x7f, '.fw'), (0x80, '.AIA'), (0x100, '.AQA')])
def test_a_serial_number_is_signed(serial, end):
    assert certificate_id(a_certificate(ISSUER, serial)).endswith(end)


@pytest.mark.parametrize('certificate', [a_certificate(None, 7), b'', b'nonsense', LEAF[:-5]])
def test_what_does_not_name_its_issuer_has_no_name_and_no_window(certificate, server, opened):
    server.directory['renewalInfo'] = f'{server.url}/renewal'
    assert certificate_id(certificate) is None
    assert opened().renewal_window(certificate) is None


def test_the_window_is_in_utc_and_holds_as_long_as_is_said(says):
    window = says((200, {'suggestedWindow': WINDOW, 'explanationURL': 'https://ca.test/why'}, {
        'Retry-After': '7200'}))
    assert window.start == datetime(2030, 1, 2, 3, 4, 5)
    assert window.end == datetime(2030, 1, 3, 3, 4, 5)
    assert (window.ask_after_seconds, window.explanation_url) == (7200, 'https://ca.test/why')


@pytest.mark.parametrize(('told', 'seconds'), [({}, 21600), ({'Retry-After': '0'}, 60),
                                               ({'Retry-After': '9999999'}, 86400)])
def test_the_window_holds_neither_too_short_nor_too_long(says, told, seconds):
    window = says((200, {'suggestedWindow': WINDOW, 'explanationURL': 'javascript:x'}, told))
    assert (window.ask_after_seconds, window.explanation_url) == (seconds, None)


@pytest.mark.parametrize('answer', [
    {'suggestedWindow': {**WINDOW, 'end': WINDOW['start']}},
    {'suggestedWindow': {'start': 7, 'end': []}},
    {'suggestedWindow': {**WINDOW, 'start': '2030-01-02T03:04:05'}}, {'suggestedWindow': None}, {}, [],
    b'nonsense', {'suggestedWindow': {**WINDOW, 'start': '0001-01-01T00:00:00+23:59'}}])
def test_a_window_that_is_none_is_no_opinion(says, answer):
    assert says(answer) is None


def test_a_certificate_that_it_does_not_know_is_no_opinion(says, server):
    assert says(server.refuses('malformed', 404)) is None


def test_an_authority_that_is_down_is_unavailable(says):
    with pytest.raises(Unavailable):
        says((503, b'', {}))


def test_it_is_asked_without_an_account(says, server):
    says({'suggestedWindow': WINDOW})
    assert [(method, path) for method, path, *_ in server.asked] == [
        ('GET', '/dir'), ('GET', f'/renewal/{KNOWN}')]
