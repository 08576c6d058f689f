# SPDX-License-Identifier: Apache-2.0
"""Key pairs that a token makes, keeps and signs with.

The private half is an object of the token, sensitive and never extractable; its CKA_LABEL is the key's
id. Its CKA_ID is 8 random bytes, and after them 12 of the SHA-256 of those with the owner and the key's
id: so the reference of one key does not name another's, and whose key it is cannot be changed in any
database. The public half is given out and not kept.
"""
import hashlib
import os
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import MGF, Attribute, KeyType, Mechanism, ObjectClass
from pkcs11 import exceptions as ck
from pkcs11.util.ec import encode_named_curve_parameters

from km.plugins.secret_store.cryptoki.failures import Altered
from km.plugins.secret_store.cryptoki.sessions import Lease

_RANDOM_BYTES, _DIGEST_BYTES = 8, 12
#: The curve's name for PKCS#11, and its class.
_CURVES = {256: ('secp256r1', ec.SECP256R1()), 384: ('secp384r1', ec.SECP384R1()),
           521: ('secp521r1', ec.SECP521R1())}
#: PrintableString "edwards25519": what SoftHSM and PKCS#11 v3.0 know.
_ED25519 = b'\x13\x0cedwards25519'
_SIZES = {'rsa': range(2048, 4097), 'ec': _CURVES, 'ed25519': (256,)}
#: DigestInfo before the hash (RFC 8017, 9.2, note 1).
_DIGEST_INFO = {
    'sha256': bytes.fromhex('3031300d060960864801650304020105000420'),
    'sha384': bytes.fromhex('3041300d060960864801650304020205000430'),
    'sha512': bytes.fromhex('3051300d060960864801650304020305000440')}
_PSS = {'sha256': (Mechanism.SHA256, MGF.SHA256, 32), 'sha384': (Mechanism.SHA384, MGF.SHA384, 48),
        'sha512': (Mechanism.SHA512, MGF.SHA512, 64)}
_PRIVATE = {
    Attribute.TOKEN: True, Attribute.PRIVATE: True, Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False, Attribute.SIGN: True}


class NoSigningKey(Exception):
    """It is not on the token."""


class NoSuchScheme(Exception):
    """The key does not sign so, or no such key can be made."""


class Made(NamedTuple):
    """A key pair that was made.

    :param reference: CKA_ID, in hexadecimal.
    :param public_key: SubjectPublicKeyInfo, DER.
    """

    reference: str
    public_key: bytes


def generate(lease: Lease, *, algorithm: str, bit_length: int, project_id: str, key_id: str) -> Made:
    """Make a key pair.

    :param lease: of ``Token.run_alone``.
    :raises NoSuchScheme: not one of this kind.
    :raises PKCS11Error: the token does not do it.
    """
    if bit_length not in _SIZES.get(algorithm, ()):
        raise NoSuchScheme
    random = os.urandom(_RANDOM_BYTES)
    reference = random + _owner(random, project_id, key_id)
    key_type, mechanism, public = {
        'rsa': (KeyType.RSA, Mechanism.RSA_PKCS_KEY_PAIR_GEN, {}),
        'ec': (KeyType.EC, Mechanism.EC_KEY_PAIR_GEN, {Attribute.EC_PARAMS: _curve(bit_length)}),
        'ed25519': (KeyType.EC_EDWARDS, Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
                    {Attribute.EC_PARAMS: _ED25519})}[algorithm]
    halves = lease.session._generate_keypair(
        key_type, bit_length if algorithm == 'rsa' else None, id=reference, label=key_id, capabilities=0,
        mechanism=mechanism, private_template=_PRIVATE,
        public_template={**public, Attribute.TOKEN: False, Attribute.VERIFY: True})
    return Made(reference.hex(), _public_key(halves[0], algorithm, bit_length).public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def sign(lease: Lease, reference: str, *, project_id: str, key_id: str, scheme: str, data: bytes
         ) -> bytes:
    """A signature, as ``SigningStore.sign`` gives it.

    :raises NoSigningKey, NoSuchScheme: see there.
    :raises Altered: the key is another's.
    :raises PKCS11Error: the token does not do it.
    """
    key = _find(lease, key_id, reference)
    identity = bytes.fromhex(reference)
    random, owner = identity[:_RANDOM_BYTES], identity[_RANDOM_BYTES:]
    if owner != _owner(random, project_id, key_id):
        raise Altered
    return _signed(key, scheme, data)


def destroy(lease: Lease, reference: str, *, key_id: str) -> None:
    """Destroy a key; no error if it is gone.

    :param lease: of ``Token.run_alone``.
    """
    for key in _search(lease, {Attribute.LABEL: key_id}):
        if key[Attribute.ID].hex() == reference:
            key.destroy()


def find(lease: Lease, key_id: str) -> str:
    """A reference of a key with this id.

    :raises NoSigningKey: there is none.
    """
    found = _search(lease, {Attribute.LABEL: key_id})
    if not found:
        raise NoSigningKey
    return found[0][Attribute.ID].hex()


def _search(lease: Lease, more: dict[Attribute, Any]) -> list[Any]:
    return list(lease.session.get_objects({
        Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.TOKEN: True, **more}))


def _find(lease: Lease, key_id: str, reference: str) -> Any:
    found = lease.objects.get((key_id, reference))
    if found is None:
        for key in _search(lease, {Attribute.LABEL: key_id}):
            if key[Attribute.ID].hex() == reference:
                return lease.objects.setdefault((key_id, reference), key)
        raise NoSigningKey
    return found


def _owner(random: bytes, project_id: str, key_id: str) -> bytes:
    parts = (random, project_id.encode(), key_id.encode())
    return hashlib.sha256(b'km-signing-key-v1' + b''.join(
        len(part).to_bytes(4) + part for part in parts)).digest()[:_DIGEST_BYTES]


def _curve(bit_length: int) -> bytes:
    return encode_named_curve_parameters(_CURVES[bit_length][0]) if bit_length in _CURVES else b''


def _public_key(public: Any, algorithm: str, bit_length: int) -> PublicKeyTypes:
    if algorithm == 'rsa':
        numbers = rsa.RSAPublicNumbers(int.from_bytes(public[Attribute.PUBLIC_EXPONENT]),
                                       int.from_bytes(public[Attribute.MODULUS]))
        return numbers.public_key()
    point = public[Attribute.EC_POINT]
    if algorithm == 'ed25519':
        return ed25519.Ed25519PublicKey.from_public_bytes(point[-32:])
    curve = _CURVES[bit_length][1]
    # Most tokens wrap the point into an OCTET STRING (PKCS#11 v2.40, 2.3.3), some do not.
    encoded = point[-(1 + 2 * ((curve.key_size + 7) // 8)):]
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, encoded)


def _signed(key: Any, scheme: str, data: bytes) -> bytes:
    kind, _, hashed = scheme.rpartition('-')
    key_type = key[Attribute.KEY_TYPE]
    if scheme == 'ed25519' and key_type == KeyType.EC_EDWARDS:
        return key.sign(data, mechanism=Mechanism.EDDSA)
    if hashed not in _DIGEST_INFO or {
            'ecdsa': KeyType.EC, 'rsa-pkcs1': KeyType.RSA, 'rsa-pss': KeyType.RSA}.get(kind) != key_type:
        raise NoSuchScheme
    digest = hashlib.new(hashed, data).digest()
    if kind == 'rsa-pkcs1':
        return key.sign(_DIGEST_INFO[hashed] + digest, mechanism=Mechanism.RSA_PKCS)
    if kind == 'rsa-pss':
        return key.sign(digest, mechanism=Mechanism.RSA_PKCS_PSS, mechanism_param=_PSS[hashed])
    return _ecdsa(key, digest)


def _ecdsa(key: Any, digest: bytes) -> bytes:
    parameters = key[Attribute.EC_PARAMS]
    size = next((bits for bits in _CURVES if _curve(bits) == parameters), None)
    if size is None:
        raise ck.DomainParamsInvalid
    # A hash longer than the curve's order is cut (FIPS 186-5, 6.4.1); not every token does it.
    both = key.sign(digest[:(size + 7) // 8], mechanism=Mechanism.ECDSA)
    half = len(both) // 2
    return encode_dss_signature(int.from_bytes(both[:half]), int.from_bytes(both[half:]))
