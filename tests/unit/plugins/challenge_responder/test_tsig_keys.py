# SPDX-License-Identifier: Apache-2.0
"""Key files for TSIG: which are read, and that none is shown."""
import base64

import dns.tsig
import pytest

from km.plugins.challenge_responder import tsig_keys

#: With two slashes, as comments begin.
SECRET = base64.b64encode(b'\xff' * 30 + b'ab').decode()
BIND = f'key "acme-key" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n'


@pytest.fixture
def key_file(folder):
    def write(text, mode=0o400):
        path = folder / 'key'
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return write


@pytest.mark.parametrize('text', [
    BIND, BIND.replace('"acme-key"', 'acme-key.'), f'hmac-sha256:acme-key:{SECRET}\n',
    f'/* ours */ {BIND} // made by tsig-keygen\n# the end', BIND.replace('hmac-sha256', 'HMAC-SHA256'),
    f'key acme-key {{ secret "{SECRET}"; algorithm "hmac-sha256"; }};'])
def test_a_key_is_read(key_file, text):
    assert '//' in SECRET
    key = tsig_keys.read(key_file(text))
    assert key.name.to_text() == 'acme-key.'
    assert key.secret == base64.b64decode(SECRET)
    assert key.algorithm == dns.tsig.HMAC_SHA256


@pytest.mark.parametrize('mode', [0o400, 0o600, 0o440, 0o640])
def test_a_group_may_read_it(key_file, mode):
    assert tsig_keys.read(key_file(BIND, mode))


@pytest.mark.parametrize('mode', [0o404, 0o444, 0o602, 0o666])
def test_a_file_that_everybody_can_read_is_refused(key_file, mode):
    with pytest.raises(ValueError, match='must be a plain file that not everybody may read'):
        tsig_keys.read(key_file(BIND, mode))


@pytest.mark.parametrize(('text', 'sentence'), [
    ('', 'holds no key as BIND has one'), (BIND + BIND, 'or not one alone'), (BIND[:-5], 'holds no key'),
    (BIND.replace('secret', 'word'), 'holds no key'), (BIND.replace('}', 'view "x"; }'), 'holds no key'),
    (BIND.replace('hmac-sha256', 'hmac-md5'), 'the algorithm of .* is none of hmac-sha224'),
    (f'hmac-sha1:k:{SECRET}', 'the algorithm of'), (f'acme-key:{SECRET}', 'holds no key'),
    (BIND.replace(SECRET, 'c2hvcnQ='), 'no key of 16 bytes or more'),
    (BIND.replace(SECRET, SECRET[:-1] + '*'), 'no key of 16 bytes'),
    (f'hmac-sha256:{"k" * 64}:{SECRET}', 'with a name')])
def test_what_holds_no_key_is_refused_and_not_shown(key_file, text, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        tsig_keys.read(key_file(text))
    assert SECRET[:-1] not in str(refused.value)


def test_a_file_that_is_not_there_is_named(folder):
    with pytest.raises(ValueError, match=r'no-such cannot be read \(No such file'):
        tsig_keys.read(str(folder / 'no-such'))
    with pytest.raises(ValueError, match='must be a plain file'):
        tsig_keys.read('/dev/null')
