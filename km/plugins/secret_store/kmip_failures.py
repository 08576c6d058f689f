# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between km and a KMIP server, and the sentence that tells each from the others.

The sentences name no host and hold nothing that a server said: clients may see them. The log has the
host beside them.
"""
import socket
import ssl

from kmip.core.enums import ResultReason

from km.interfaces import KmError, NotFound, Unavailable

UNKNOWN_HOST = 'The name of the KMIP server does not resolve.'
NOTHING_LISTENS = 'The KMIP server is down: nothing listens there.'
UNREACHABLE = 'The KMIP server cannot be reached.'
NO_CONNECTION = 'The KMIP server cannot be reached: connecting to it takes too long.'
NO_HANDSHAKE = 'The KMIP server takes connections, but says nothing: it is frozen or overloaded.'
NO_ANSWER = 'The KMIP server did not answer in time.'
HUNG_UP = 'The KMIP server hung up in the middle of a call.'
HUNG_UP_EARLY = 'The KMIP server hung up before it was asked anything; its log says why.'
NO_TLS = 'What listens in place of the KMIP server does not speak TLS from 1.2 on.'
EXPIRED = 'The certificate of the KMIP server has expired.'
OTHER_HOST = 'The certificate of the KMIP server is one for another host.'
UNKNOWN_CA = 'The certificate of the KMIP server is by no authority in ca_file.'
BAD_CERTIFICATE = 'The certificate of the KMIP server cannot be verified'
WE_ARE_REFUSED = 'The KMIP server refuses the certificate in certificate_file'
NO_FILES = 'The certificates for the KMIP server cannot be read any more.'
NO_KMIP = 'What answers in place of the KMIP server does not speak KMIP, or not as km does.'
REFUSED = 'The KMIP server refuses to be asked by km'
ANOTHERS_ANSWER = 'The KMIP server answered what it was not asked.'

# Those of OpenSSL's X509_V_ERR_...
_VERIFY = {10: EXPIRED, 62: OTHER_HOST, 64: OTHER_HOST,
           **dict.fromkeys((2, 7, 18, 19, 20, 21), UNKNOWN_CA)}
_NO_TLS = ('WRONG_VERSION_NUMBER', 'UNSUPPORTED_PROTOCOL', 'RECORD_LAYER_FAILURE', 'HTTP_REQUEST',
           'TLSV1_ALERT_PROTOCOL_VERSION', 'PACKET_LENGTH_TOO_LONG')

_GONE = {ResultReason.ITEM_NOT_FOUND, ResultReason.OBJECT_NOT_FOUND, ResultReason.OBJECT_DESTROYED}
#: Reasons why a server never does what it was asked, whoever asks and however often.
NEVER = {
    ResultReason.OPERATION_NOT_SUPPORTED, ResultReason.FEATURE_NOT_SUPPORTED,
    ResultReason.MISSING_DATA, ResultReason.INVALID_FIELD, ResultReason.INVALID_MESSAGE,
    ResultReason.ILLEGAL_OPERATION, ResultReason.INDEX_OUT_OF_BOUNDS,
    ResultReason.APPLICATION_NAMESPACE_NOT_SUPPORTED, ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED,
    ResultReason.INVALID_DATA_TYPE, ResultReason.ILLEGAL_OBJECT_TYPE, ResultReason.INVALID_OBJECT_TYPE,
    ResultReason.INVALID_ATTRIBUTE, ResultReason.INVALID_ATTRIBUTE_VALUE,
    ResultReason.UNSUPPORTED_ATTRIBUTE, ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS,
}
#: What servers say of an identifier that they do not know.
NO_SUCH_OBJECT = _GONE | NEVER | {ResultReason.PERMISSION_DENIED}
#: Reasons why an object that is Active is not destroyed.
ACTIVE = {ResultReason.PERMISSION_DENIED, ResultReason.WRONG_KEY_LIFECYCLE_STATE,
          ResultReason.ILLEGAL_OPERATION}


class Broken(Exception):
    """A connection, or the attempt to make one, came to nothing.

    :param sentence: why; safe for clients.
    :param lost: whether a connection that there was ended.
    """

    def __init__(self, sentence: str, *, lost: bool = False):
        super().__init__(sentence)
        self.sentence, self.lost = sentence, lost


def broken_while_connecting(error: OSError) -> Broken:
    """What an error of ``connect`` means."""
    if isinstance(error, socket.gaierror):
        return Broken(UNKNOWN_HOST)
    if isinstance(error, ConnectionRefusedError):
        return Broken(NOTHING_LISTENS)
    return Broken(NO_CONNECTION if isinstance(error, TimeoutError) else UNREACHABLE)


def broken_in_the_handshake(error: OSError) -> Broken:
    """What an error of a TLS handshake means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Broken(_VERIFY.get(error.verify_code, f'{BAD_CERTIFICATE} ({error.verify_message}).'))
    if isinstance(error, TimeoutError):
        return Broken(NO_HANDSHAKE)
    return _alert(error) or Broken(HUNG_UP_EARLY)


def broken_in_a_call(error: OSError) -> Broken:
    """What an error of a connection that was shaken hands on means."""
    if isinstance(error, TimeoutError):
        return Broken(NO_ANSWER)
    return _alert(error) or Broken(HUNG_UP, lost=True)


def _alert(error: OSError) -> Broken | None:
    """What it means if the other side says that it does not want us, or speaks no TLS at all."""
    reason = str(getattr(error, 'reason', None) or '')
    if reason in _NO_TLS:
        return Broken(NO_TLS)
    if 'ALERT' in reason:
        return Broken(f'{WE_ARE_REFUSED} ({reason}).')
    return None


def refusal(reason: ResultReason) -> KmError:
    """km's error for the reason why a server did not do something with an object."""
    if reason in _GONE:
        return NotFound('The secret is not in its store.')
    if reason is ResultReason.PERMISSION_DENIED:
        return Unavailable('The KMIP server does not let km have this object: it belongs to another '
                           'client, or the rights of km were changed.')
    return Unavailable(f'The KMIP server failed ({reason.name}).')
