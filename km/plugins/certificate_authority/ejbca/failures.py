# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between km and EJBCA.

Clients hear that there is no answer, and no more. Operators find a sentence in the log that tells each
cause from the others; none holds anything secret.
"""
import logging
import ssl

from km.interfaces import Unavailable

LOG = logging.getLogger(__name__)

SILENT = 'The certificate authority does not answer.'

NOTHING_LISTENS = 'EJBCA cannot be reached.'
TOO_SLOW = 'EJBCA did not answer within http_timeout_seconds.'
HUNG_UP = ('EJBCA hung up in the middle of a call. If it does so always it wants a client certificate, '
           'or another one.')
NO_TRUST = 'The certificate of EJBCA is not one for this host by an authority in ca_file'
WE_ARE_REFUSED = 'EJBCA refuses the TLS handshake; it may want a client certificate, or another one'
TOO_LONG = 'The answer of EJBCA is longer than km reads.'
REDIRECTS = ('EJBCA sends km elsewhere, and km does not follow: url must be the one of its REST '
             'interface.')
FORBIDDEN = ('EJBCA does not let km do this: its REST protocol is off, or it does not know the '
             'certificate or token that km shows, or the role of that lacks a right, or an end entity '
             'has another password')
NO_TOKEN = 'EJBCA does not take the token that token_url gave.'
TOKEN_REFUSED = 'token_url gives km no token: client_id or client_secret_file may be wrong'
TOKEN_SILENT = 'token_url does not answer, or not as OAuth 2.0 (RFC 6749, 5.1) says.'
FAILED = 'EJBCA failed'
NOT_EJBCA = 'What answers is not the REST interface of EJBCA; is url right?'
NO_SUCH_CA = ('EJBCA shows km no authority of the name in certificate_authority: it is not there, or '
              'the role of km may not use it.')
NO_END_ENTITIES = ('EJBCA has no end entities in its REST interface: it is a Community Edition, or the '
                   'protocol is off. Then enrollment_mode must be single.')

_MOST_CHARACTERS = 200


class NoAnswer(Unavailable):
    """EJBCA did not do what it was asked, and may later. Whether it did nothing at all is not known.

    :param operators: why, for operators.
    """

    def __init__(self, operators: str, retry_after_seconds: float | None = None):
        super().__init__(SILENT, retry_after_seconds)
        self.operators = operators


def no_answer(name: str, operators: str, retry_after_seconds: float | None = None) -> NoAnswer:
    """The same, told to operators already.

    :param name: theirs, of the plugin.
    """
    LOG.error('Certificate authority %s: %s', name, operators)
    return NoAnswer(operators, retry_after_seconds)


def cleaned(message: object) -> str:
    """A message of EJBCA's, fit to be shown: a line of printable characters, and not a long one."""
    text = message if isinstance(message, str) else ''
    line = ' '.join(''.join(one if one.isprintable() else ' ' for one in text).split())
    return line if len(line) <= _MOST_CHARACTERS else line[:_MOST_CHARACTERS - 3] + '...'


def with_message(sentence: str, message: str) -> str:
    """A sentence, and what EJBCA said, if it said anything."""
    return f'{sentence}: {message}' if message else f'{sentence}.'


def in_tls(error: BaseException) -> str | None:
    """What it means if TLS is what failed, and None if it is not. Libraries wrap errors in errors."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f'{NO_TRUST} ({cleaned(seen.verify_message)}).'
        if isinstance(seen, ssl.SSLError) and not isinstance(seen, ssl.SSLEOFError):
            return f'{WE_ARE_REFUSED} ({cleaned(seen.reason or "no reason")}).'
        seen = _within(seen)
    return None


def _within(error: BaseException) -> BaseException | None:
    """The error that another one is about."""
    about = getattr(error, 'reason', None) or next(iter(error.args), None)
    return about if isinstance(about, BaseException) else error.__cause__ or error.__context__
