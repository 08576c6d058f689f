# SPDX-License-Identifier: Apache-2.0
"""A key for TSIG (RFC 8945) in a file, as BIND has it or as nsupdate is told it."""
import base64
import binascii
import os
import re
import stat

import dns.exception
import dns.name
import dns.tsig

_ALGORITHMS = {'hmac-sha224': dns.tsig.HMAC_SHA224, 'hmac-sha256': dns.tsig.HMAC_SHA256,
               'hmac-sha384': dns.tsig.HMAC_SHA384, 'hmac-sha512': dns.tsig.HMAC_SHA512}
_MIN_SECRET_BYTES = 16
_MAX_FILE_BYTES = 65536

_COMMENT = re.compile(r'("[^"]*")|/\*.*?\*/|(?://|#)[^\n]*', re.DOTALL)
_KEY = re.compile(r'\s*key\s+"?(?P<name>[^\s"{};]+)"?\s*\{(?P<body>[^{}]*)\}\s*;?\s*')
_STATEMENT = re.compile(r'\s*(?P<word>[a-z]+)\s+"?(?P<value>[^\s";]+)"?\s*;\s*')
_LINE = re.compile(r'\s*(?P<algorithm>[^\s:]+):(?P<name>[^\s:]+):(?P<secret>[^\s:]+)\s*')


def read(path: str) -> dns.tsig.Key:
    """The key in a file: ``key "NAME" { algorithm hmac-sha256; secret "BASE64"; };`` (BIND), or
    ``hmac-sha256:NAME:BASE64`` (``nsupdate -y``).

    The file must be a plain one that not everybody can read.

    :raises ValueError: it is not so, or holds no such key; the message says what, and nothing of it.
    """
    name, algorithm, secret = _parts(path, _text(path))
    if algorithm not in _ALGORITHMS:
        raise ValueError(f'the algorithm of {path} is none of {", ".join(_ALGORITHMS)}')
    try:
        decoded = base64.b64decode(secret, validate=True)
        named = dns.name.from_text(name)
    except (binascii.Error, ValueError, dns.exception.DNSException):
        decoded = b''
    if len(decoded) < _MIN_SECRET_BYTES:
        raise ValueError(f'{path} holds no key of {_MIN_SECRET_BYTES} bytes or more with a name')
    return dns.tsig.Key(named, decoded, _ALGORITHMS[algorithm])


def _text(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, 'rb', closefd=True) as file:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode) or mode & 0o007:
                raise ValueError(f'{path} must be a plain file that not everybody may read; set its '
                                 'mode to 0400')
            return file.read(_MAX_FILE_BYTES).decode('ascii', 'replace')
    except OSError as error:
        raise ValueError(f'{path} cannot be read ({error.strerror})') from None


def _parts(path: str, text: str) -> tuple[str, str, str]:
    line = _LINE.fullmatch(text)
    if line:
        return line['name'], line['algorithm'].lower(), line['secret']
    key = _KEY.fullmatch(_COMMENT.sub(lambda found: found[1] or ' ', text))
    body = key['body'] if key else ''
    statements = {found['word']: found['value'] for found in _STATEMENT.finditer(body)}
    if not key or _STATEMENT.sub('', body).strip() or set(statements) != {'algorithm', 'secret'}:
        raise ValueError(f'{path} holds no key as BIND has one, or not one alone')
    return key['name'], statements['algorithm'].lower(), statements['secret']
