# SPDX-License-Identifier: Apache-2.0
"""Full PKI requests of CMC (RFC 5272, 3.2): the one request for a certificate in one, once it is proved.

Two signatures are held to be necessary. That of the PKCS#10 proves possession of the requested key, as
ever. That of the CMS message proves that whoever sent it wrote all of it: by the requested key itself
(then the signer is named by its key identifier), or by the key of a certificate in the message. Who that
certificate belongs to is not asked, and no right comes of it: who may order is decided by who called km.
"""
import hashlib
from typing import Any

from asn1crypto import algos, cms, core, csr
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from km.certificates import keys, requests
from km.errors import Invalid

MAX_MESSAGE_BYTES = 64 * 1024
PKI_DATA = '1.3.6.1.5.5.7.12.2'
#: transactionId, senderNonce and identification (RFC 5272, 6.3.1, 6.6): names of a conversation, and of
#: who leads it. Every other control asks for something, and what km does not do it does not pass over.
HARMLESS_CONTROLS = {'1.3.6.1.5.5.7.7.5', '1.3.6.1.5.5.7.7.6', '1.3.6.1.5.5.7.7.2'}

_BAD_FORMAT = 'Invalid CMC Data: Bad format'
_DIGESTS: dict[str, Any] = {'sha256': hashes.SHA256(), 'sha384': hashes.SHA384(),
                            'sha512': hashes.SHA512()}


class _Control(core.Sequence):
    _fields = [('body_part', core.Integer), ('type', core.ObjectIdentifier), ('values', core.Any)]


class _Controls(core.SequenceOf):
    _child_spec = _Control


class _TaggedRequest(core.Sequence):
    _fields = [('body_part', core.Integer), ('request', csr.CertificationRequest)]


class _Request(core.Choice):
    _alternatives = [('tcr', _TaggedRequest, {'implicit': 0}), ('crm', core.Any, {'explicit': 1}),
                     ('orm', core.Any, {'explicit': 2})]


class _Requests(core.SequenceOf):
    _child_spec = _Request


class _Others(core.SequenceOf):
    _child_spec = core.Any


class _PkiData(core.Sequence):
    _fields = [('controls', _Controls), ('requests', _Requests), ('contents', _Others),
               ('messages', _Others)]


def read_full(encoded: str) -> bytes:
    """The request in ``request_data`` of a full-cmc order, found to be signed as this module says.

    :param encoded: base64 of DER or PEM, or PEM, of a SignedData (RFC 5652, 5.1) with a PKIData.
    :returns: PKCS#10, DER.
    :raises Invalid: it is no such message, or not signed so; it has not exactly one request, which is a
        PKCS#10; or it has controls other than ``HARMLESS_CONTROLS``.
    """
    message = requests.decoded(encoded, label='CMS', longest=MAX_MESSAGE_BYTES)
    try:
        request = _read(message)
    except Invalid:
        raise
    except Exception:  # the parser is lazy, and has many errors for what strangers write
        raise Invalid(_BAD_FORMAT) from None
    requests.require_possession(request)
    return request


def _read(message: bytes) -> bytes:
    info = cms.ContentInfo.load(message, strict=True)
    if info['content_type'].native != 'signed_data':
        raise Invalid('Invalid CMC Data: it is no SignedData.')
    signed = info['content']
    encapsulated = signed['encap_content_info']
    if encapsulated['content_type'].dotted != PKI_DATA or not encapsulated['content']:
        raise Invalid('Invalid CMC Data: it has no PKIData.')
    content = bytes(encapsulated['content'])
    request = _one_request(_PkiData.load(content, strict=True))
    if len(signed['signer_infos']) != 1:
        raise Invalid('Invalid CMC Data: it has not exactly one signer.')
    signer = signed['signer_infos'][0]
    public_key = _signing_key(signed, signer=signer, request=request)
    keys.require_sane(public_key)
    _require_signature(signer, content=content, public_key=public_key)
    return request


def _one_request(data: _PkiData) -> bytes:
    if any(control['type'].dotted not in HARMLESS_CONTROLS for control in data['controls']):
        raise Invalid('Invalid CMC Data: it has a control that is not supported.')
    if len(data['contents']) or len(data['messages']):
        raise Invalid('Invalid CMC Data: it has other messages in it.')
    if len(data['requests']) != 1 or data['requests'][0].name != 'tcr':
        raise Invalid('Invalid CMC Data: it has not exactly one PKCS#10 request.')
    return data['requests'][0].chosen['request'].dump()


def _signing_key(signed: Any, *, signer: Any, request: bytes) -> Any:
    """The public key that the signer's identifier names."""
    identifier = signer['sid']
    by_key = identifier.name == 'subject_key_identifier'
    sent = [choice.chosen for choice in signed['certificates'] if choice.name == 'certificate']
    for certificate in sent:
        if (certificate.key_identifier == identifier.native if by_key else
                (certificate.issuer, certificate.serial_number)
                == (identifier.chosen['issuer'], identifier.chosen['serial_number'].native)):
            return x509.load_der_x509_certificate(certificate.dump()).public_key()
    if by_key and identifier.native in _identifiers(request):
        return load_der_public_key(requests.public_key_of(request))
    raise Invalid('Invalid CMC Data: its signer is neither the requested key, by its identifier, nor a '
                  'certificate in it.')


def _identifiers(request: bytes) -> set[bytes]:
    """How the requested key may be named: as it asks to be, or by its SHA-1 (RFC 5272, 3.2.1.2)."""
    loaded = x509.load_der_x509_csr(request)
    asked = {extension.value.digest for extension in loaded.extensions
             if isinstance(extension.value, x509.SubjectKeyIdentifier)}
    return {x509.SubjectKeyIdentifier.from_public_key(loaded.public_key()).digest, *asked}


def _require_signature(signer: Any, *, content: bytes, public_key: Any) -> None:
    """Insist on a signature over the content's type and digest (RFC 5652, 5.4)."""
    digest = signer['digest_algorithm']['algorithm'].native
    if digest not in _DIGESTS:
        raise Invalid('Invalid CMC Data: its digest is none of SHA-256, SHA-384 and SHA-512.')
    attributes = signer['signed_attrs']
    told: dict[str, Any] = {}
    for attribute in attributes:
        kind = attribute['type'].native
        if kind in told or len(attribute['values']) != 1:
            raise Invalid(_BAD_FORMAT)
        told[kind] = attribute['values'][0]
    if 'content_type' not in told or told['content_type'].dotted != PKI_DATA:
        raise Invalid('Invalid CMC Data: its signed attributes do not name the type of its content.')
    if 'message_digest' not in told or (
            told['message_digest'].native != hashlib.new(digest, content).digest()):
        raise Invalid('Invalid CMC Data: its content is not the one that was signed.')
    # The attributes are signed as a SET OF, and sent with another tag (RFC 5652, 5.4).
    over = b'\x31' + attributes.dump()[1:]
    try:
        _verify(signer, digest=digest, over=over, public_key=public_key)
    except Exception:  # a wrong signature, or an algorithm that is not the key's
        raise Invalid('Invalid CMC Data: its signature is not that of its signer.') from None


def _verify(signer: Any, *, digest: str, over: bytes, public_key: Any) -> None:
    algorithm: algos.SignedDigestAlgorithm = signer['signature_algorithm']
    signature = signer['signature'].native
    named = algorithm['algorithm'].native
    if named.startswith('sha') and algorithm.hash_algo != digest:
        raise ValueError
    if isinstance(public_key, rsa.RSAPublicKey) and named == 'rsassa_pss':
        digest = algorithm.hash_algo
        padded = padding.PSS(padding.MGF1(_DIGESTS[digest]),
                             algorithm['parameters']['salt_length'].native)
        public_key.verify(signature, over, padded, _DIGESTS[digest])
    elif isinstance(public_key, rsa.RSAPublicKey):
        public_key.verify(signature, over, padding.PKCS1v15(), _DIGESTS[digest])
    elif isinstance(public_key, ec.EllipticCurvePublicKey):
        public_key.verify(signature, over, ec.ECDSA(_DIGESTS[digest]))
    else:  # a kind that says itself how it signs (RFC 8419, RFC 9882)
        public_key.verify(signature, over)
