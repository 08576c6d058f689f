# SPDX-License-Identifier: Apache-2.0
"""OAuth 2.0 for clients: a token endpoint, and JWTs (RFC 7519) that only this process can sign."""
import base64
import hmac
import json
import secrets
import time
from urllib.parse import parse_qs, unquote_plus

PATH = '/realms/tests/token'
#: Who has a token, by which secret. The last has no role.
CLIENTS = {'km': 'a secret: with %25 & colon', 'stranger': 'another secret'}
ROLES = {'km'}

_KEY = secrets.token_bytes(32)


def give(world, headers, content):
    """Answer a request for a token, as RFC 6749, 4.4 and 5, says."""
    form = {name: values[0] for name, values in parse_qs(content.decode()).items()}
    client = _client(headers.get('Authorization', ''))
    if client is None:
        return 401, {'error': 'invalid_client'}
    if form.get('grant_type') != 'client_credentials':
        return 400, {'error': 'unsupported_grant_type'}
    seconds = world.settings['token_seconds']
    token = _signed({'sub': client, 'exp': time.time() + seconds, 'jti': secrets.token_hex(8)})
    with world.lock:
        world.tokens_given += 1
        world.valid_tokens.add(token)
    return 200, {'access_token': token, 'token_type': 'Bearer', 'expires_in': seconds}


def who(world, token):
    """Whose token it is; None if it is not, or not any more."""
    try:
        signed, _, signature = token.rpartition('.')
        claims = json.loads(_unpacked(signed.split('.')[1]))
        good = hmac.compare_digest(_unpacked(signature), hmac.digest(_KEY, signed.encode(), 'sha256'))
    except (ValueError, IndexError):
        return None
    if not good or token not in world.valid_tokens or claims['exp'] < time.time():
        return None
    return claims['sub']


def _client(header):
    kind, _, encoded = header.partition(' ')
    try:
        name, _, secret = base64.b64decode(encoded).decode().partition(':')
    except ValueError:
        return None
    name, secret = unquote_plus(name), unquote_plus(secret)
    return name if kind == 'Basic' and CLIENTS.get(name) == secret else None


def _signed(claims):
    signed = '.'.join(_packed(json.dumps(part).encode()) for part in ({'alg': 'HS256'}, claims))
    return f'{signed}.{_packed(hmac.digest(_KEY, signed.encode(), "sha256"))}'


def _packed(content):
    return base64.urlsafe_b64encode(content).rstrip(b'=').decode()


def _unpacked(text):
    return base64.urlsafe_b64decode(text + '=' * (-len(text) % 4))
