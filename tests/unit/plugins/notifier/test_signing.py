# SPDX-License-Identifier: Apache-2.0
"""Signatures are those of Standard Webhooks, and secrets are only taken from a file that keeps them."""
import base64
import os

import pytest

from km.interfaces import Misconfigured
from km.plugins.notifier.signing import read_secrets, signed

# The example that the specification's reference implementations are tested with.
SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
BODY = b'{"test": 2432232314}'
SIGNATURE = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='


def a_secret(length=32):
    return 'whsec_' + base64.b64encode(b'\x07' * length).decode()


@pytest.fixture
def write(folder):
    def write(text, mode=0o400):
        path = folder / 'secret'
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return write


def test_a_request_is_signed_as_in_the_example_of_the_specification(write):
    headers = signed(read_secrets(write(SECRET)), message_id='msg_p5jXN8AQM9LWM0D4loKWxJek',
                     timestamp=1614265330, body=BODY)
    assert headers == {'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek', 'webhook-timestamp': '1614265330',
                       'webhook-signature': SIGNATURE}


def test_with_several_secrets_there_is_a_signature_of_each(write):
    secrets = read_secrets(write(f'{a_secret()}\n\n  {SECRET}\r\n'))
    headers = signed(secrets, message_id='msg_p5jXN8AQM9LWM0D4loKWxJek', timestamp=1614265330, body=BODY)
    first, second = headers['webhook-signature'].split(' ')
    assert (first[:3], second) == ('v1,', SIGNATURE)
    assert first != second


@pytest.mark.parametrize('length', [24, 64])
def test_a_secret_of_an_allowed_length_is_taken(write, length):
    assert read_secrets(write(a_secret(length))) == [b'\x07' * length]


@pytest.mark.parametrize('line', [
    a_secret(23), a_secret(65), a_secret().removeprefix('whsec_'), 'whsec_', 'unmistakable',
    'whsec_unmistakable!', 'whsec_' + 'ü' * 32, a_secret() + ' # mine'])
def test_what_is_no_secret_is_refused_by_its_number_alone(write, line):
    with pytest.raises(Misconfigured, match=r'^line 2 of .* is no secret') as refused:
        read_secrets(write(f'{SECRET}\n{line}\n'))
    assert line.removeprefix('whsec_')[:8] not in refused.value.sentence or line == 'whsec_'
    assert SECRET not in refused.value.sentence


@pytest.mark.parametrize('mode', [0o404, 0o402, 0o420, 0o444, 0o410])
def test_a_file_that_others_may_read_or_write_is_refused(write, mode):
    with pytest.raises(Misconfigured, match='may be read or written by others'):
        read_secrets(write(SECRET, mode))


@pytest.mark.parametrize('mode', [0o400, 0o600, 0o440])
def test_a_file_of_the_owner_and_his_group_is_taken(write, mode):
    assert len(read_secrets(write(SECRET, mode))) == 1


def test_a_file_that_is_none_or_empty_is_refused(write, folder):
    with pytest.raises(Misconfigured, match='/none cannot be read: No such file'):
        read_secrets(f'{folder}/none')
    with pytest.raises(Misconfigured, match='cannot be read: Is a directory'):
        read_secrets(str(folder))
    os.mkfifo(folder / 'pipe', 0o600)
    with pytest.raises(Misconfigured, match='is no file'):
        read_secrets(f'{folder}/pipe')
    with pytest.raises(Misconfigured, match='is empty'):
        read_secrets(write('\n\n'))
