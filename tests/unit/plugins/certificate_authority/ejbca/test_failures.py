# SPDX-License-Identifier: Apache-2.0
"""What is said of failures, and that nothing of EJBCA's gets out that is not fit to be shown."""
import ssl

import pytest
import requests
import urllib3

from km.plugins.certificate_authority.ejbca import failures


@pytest.mark.parametrize(('message', 'cleaned'), [
    ('It is so.', 'It is so.'), ('a\r\n\tb \x1b[31m c\0', 'a b [31m c'), ('ümläut', 'ümläut'),
    ('a\u2028b\u202ec', 'a b c'), (None, ''), (5, ''), (['x'], ''), ('x' * 500, 'x' * 197 + '...')])
def test_a_message_of_ejbcas_is_a_short_line(message, cleaned):
    assert failures.cleaned(message) == cleaned


def test_a_sentence_without_a_message_ends_with_a_stop():
    assert failures.with_message('It fails', '') == 'It fails.'
    assert failures.with_message('It fails', 'So.') == 'It fails: So.'


def test_clients_hear_nothing_of_the_reason():
    assert failures.no_answer('blue', 'The host 192.0.2.1 is down.').sentence == failures.SILENT


def test_a_failure_of_tls_is_found_inside_others():
    refused = ssl.SSLError(1, 'x')
    refused.reason = 'TLSV13_ALERT_CERTIFICATE_REQUIRED'
    wrapped = requests.exceptions.SSLError(urllib3.exceptions.MaxRetryError(
        None, '/', urllib3.exceptions.SSLError(refused)))
    assert failures.in_tls(wrapped) == f'{failures.WE_ARE_REFUSED} (TLSV13_ALERT_CERTIFICATE_REQUIRED).'
    assert failures.in_tls(requests.exceptions.ConnectionError(OSError(1, 'x'))) is None
    assert failures.in_tls(requests.exceptions.SSLError(ssl.SSLEOFError(8, 'x'))) is None
