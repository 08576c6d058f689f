# SPDX-License-Identifier: Apache-2.0
"""What km asks of a store that signs, as tests.

Subclass it beside ``SecretStoreContract``, with the same fixture::

    class TestVaultSigns(SigningStoreContract):
        @pytest.fixture
        def store(self):
            return open_plugin(Vault, address='127.0.0.1:8200')
"""
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from cryptography.x509.oid import NameOID

from km.interfaces import (
    CannotOpen,
    Inventory,
    NotFound,
    NotSupported,
    SigningKey,
    SigningKeyRequest,
    SignRequest,
    StoredSecret,
    StoreRequest,
)
from km.plugins.signer import signer

_DATA = b'what is signed, all of it'
_HASHES = {'sha256': hashes.SHA256(), 'sha384': hashes.SHA384(), 'sha512': hashes.SHA512()}
_KEYS = [('rsa', 2048), ('rsa', 3072), ('ec', 256), ('ec', 384), ('ec', 521), ('ed25519', 256)]
_SCHEMES = {
    'rsa': [f'{family}-{digest}' for family in ('rsa-pkcs1', 'rsa-pss') for digest in _HASHES],
    'ec': [f'ecdsa-{digest}' for digest in _HASHES],
    'ed25519': ['ed25519'],
}


class SigningStoreContract:
    """Subclasses give a fixture ``store``: an open, empty store that is a ``SigningStore`` too."""

    @pytest.fixture
    def store(self) -> Iterator[Any]:
        raise NotImplementedError('give your contract suite a fixture named store')

    @pytest.mark.parametrize(('algorithm', 'bit_length'), _KEYS)
    def test_signatures_are_verified_with_the_public_key(self, store, tmp_path, algorithm, bit_length):
        key, made = _made(store, algorithm, bit_length)
        _require_kind(made, algorithm, bit_length)
        verified = []
        for scheme in _SCHEMES[algorithm]:
            try:
                signature = store.sign(SignRequest(key=key, scheme=scheme, data=_DATA))
            except NotSupported:
                continue
            _verify(made, scheme, signature, _DATA)
            with pytest.raises(InvalidSignature):
                _verify(made, scheme, signature, _DATA + b'!')
            verified.append((scheme, signature))
        assert verified, 'the store makes such keys, and does not sign with them'
        _verify_with_openssl(made, *verified[-1], tmp_path)

    def test_it_makes_at_least_one_kind_of_key(self, store):
        assert _any_key(store)

    def test_an_inventory_leaves_out_what_no_secret_refers_to(self, store: Any):
        if not isinstance(store, Inventory):
            pytest.skip('it is no Inventory')
        key, *_ = _any_key(store)
        ids: set[str] = set()
        page = store.kept(after=None, limit=10)
        while page:
            ids.update(kept.secret_id for kept in page)
            page = store.kept(after=page[-1], limit=10)
        assert key.secret_id not in ids

    def test_a_scheme_of_other_keys_or_of_nobody_is_not_supported(self, store):
        key, _, algorithm = _any_key(store)
        foreign = 'ed25519' if algorithm != 'ed25519' else 'ecdsa-sha256'
        for scheme in (foreign, 'rot13', ''):
            with pytest.raises(NotSupported):
                store.sign(SignRequest(key=key, scheme=scheme, data=_DATA))

    def test_a_key_of_an_unknown_kind_is_not_supported_and_leaves_nothing(self, store):
        for algorithm, bit_length in (('rot', 13), ('ec', 13), ('rsa', 512), ('ed25519', 255)):
            request = SigningKeyRequest(key_id=str(uuid.uuid4()), project_id='a project',
                                        algorithm=algorithm, bit_length=bit_length)
            with pytest.raises(NotSupported):
                store.generate_signing_key(request)
            assert store.find(request.key_id) is None

    def test_a_key_is_never_retrieved_whatever_the_reference(self, store):
        key, _, _ = _any_key(store)
        payload = _payload(store)
        forged = dict(zip(payload.reference, key.reference.values(), strict=False))
        for reference in (key.reference, payload.reference, forged):
            with pytest.raises((NotFound, CannotOpen)):
                store.retrieve(replace(key, reference=reference))

    def test_a_payload_never_signs_whatever_the_reference(self, store):
        key, _, algorithm = _any_key(store)
        payload = _payload(store)
        forged = dict(zip(key.reference, payload.reference.values(), strict=False))
        for reference in (payload.reference, key.reference, forged):
            with pytest.raises((NotFound, CannotOpen)):
                store.sign(SignRequest(key=replace(payload, reference=reference),
                                       scheme=_SCHEMES[algorithm][0], data=_DATA))

    def test_it_is_found_and_deleted_as_a_secret_is_twice_without_error(self, store):
        key, _, algorithm = _any_key(store)
        assert store.find(key.secret_id) == key.reference
        payload = _payload(store)
        store.delete(key)
        store.delete(key)
        assert store.find(key.secret_id) is None
        assert store.retrieve(payload) == b'a payload'
        with pytest.raises(NotFound):
            store.sign(SignRequest(key=key, scheme=_SCHEMES[algorithm][0], data=_DATA))

    def test_two_keys_are_different_and_do_not_sign_for_each_other(self, store):
        one, made, algorithm = _any_key(store)
        other, also = _made(store, algorithm, _size(made))
        assert made.public_key != also.public_key
        with pytest.raises((NotFound, CannotOpen)):
            store.sign(SignRequest(key=replace(one, reference=other.reference),
                                   scheme=_SCHEMES[algorithm][0], data=_DATA))

    def test_threads_sign_with_several_keys(self, store):
        found = [_any_key(store) for _ in range(3)]

        def signed(number: int) -> None:
            (key, made, algorithm), data = found[number % 3], str(number).encode()
            scheme = _supported(store, key, algorithm)
            _verify(made, scheme, store.sign(SignRequest(key=key, scheme=scheme, data=data)), data)

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(signed, range(32)))

    def test_a_certificate_is_signed_and_verified(self, store, tmp_path):
        key, made, algorithm = _any_key(store)
        scheme = _supported(store, key, algorithm)
        certificate = _certificate(signer(store, key, made.public_key),
                                   _HASHES.get(scheme.rpartition('-')[2]))
        certificate.verify_directly_issued_by(certificate)
        if openssl := shutil.which('openssl'):
            path = tmp_path / 'ca.pem'
            path.write_bytes(certificate.public_bytes(Encoding.PEM))
            subprocess.run([openssl, 'verify', '-check_ss_sig', '-CAfile', path, path],  # noqa: S603
                           check=True)


def _made(store: Any, algorithm: str, bit_length: int) -> tuple[StoredSecret, SigningKey]:
    """A new key; the test is skipped if the store makes none of its kind."""
    request = SigningKeyRequest(key_id=str(uuid.uuid4()), project_id='a project',
                                algorithm=algorithm, bit_length=bit_length)
    try:
        made = store.generate_signing_key(request)
    except NotSupported:
        pytest.skip(f'it makes no {algorithm} keys of {bit_length} bits')
    return StoredSecret(secret_id=request.key_id, project_id=request.project_id,
                        reference=made.reference), made


def _any_key(store: Any) -> tuple[StoredSecret, SigningKey, str]:
    """A key of some kind that the store makes, the quickest first."""
    for algorithm, bit_length in reversed(_KEYS):
        try:
            key, made = _made(store, algorithm, bit_length)
        except pytest.skip.Exception:
            continue
        return key, made, algorithm
    raise AssertionError('the store makes no signing key of any kind')


def _supported(store: Any, key: StoredSecret, algorithm: str) -> str:
    """A scheme that a key signs by."""
    for scheme in _SCHEMES[algorithm]:
        try:
            store.sign(SignRequest(key=key, scheme=scheme, data=_DATA))
        except NotSupported:
            continue
        return scheme
    raise AssertionError('the store makes such keys, and does not sign with them')


def _payload(store: Any) -> StoredSecret:
    secret_id = str(uuid.uuid4())
    return StoredSecret(secret_id=secret_id, project_id='a project', reference=store.store(
        StoreRequest(secret_id=secret_id, project_id='a project', payload=b'a payload')))


def _size(made: SigningKey) -> int:
    return getattr(load_der_public_key(made.public_key), 'key_size', 256)


def _require_kind(made: SigningKey, algorithm: str, bit_length: int) -> None:
    public = load_der_public_key(made.public_key)
    assert type(public).__name__.lower().startswith({'ec': 'ec', 'rsa': 'rsa'}.get(algorithm, 'ed25519'))
    assert _size(made) == bit_length


def _verify(made: SigningKey, scheme: str, signature: bytes, data: bytes) -> None:
    """:raises InvalidSignature: it is not the key's, or not over this."""
    public, digest = load_der_public_key(made.public_key), _HASHES.get(scheme.rpartition('-')[2])
    if isinstance(public, rsa.RSAPublicKey) and digest:
        padded = padding.PSS(padding.MGF1(digest), digest.digest_size) if 'pss' in scheme else (
            padding.PKCS1v15())
        public.verify(signature, data, padded, digest)
    elif isinstance(public, ec.EllipticCurvePublicKey) and digest:
        public.verify(signature, data, ec.ECDSA(digest))
    else:
        public.verify(signature, data)  # type: ignore[union-attr,call-arg]


def _verify_with_openssl(made: SigningKey, scheme: str, signature: bytes, folder: Any) -> None:
    """Verify a signature with another's program, where it is installed."""
    openssl = shutil.which('openssl')
    if openssl is None:
        return
    public = load_der_public_key(made.public_key)
    (folder / 'key.pem').write_bytes(
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (folder / 'data').write_bytes(_DATA)
    (folder / 'signature').write_bytes(signature)
    if scheme == 'ed25519':
        command = ['pkeyutl', '-verify', '-pubin', '-inkey', 'key.pem', '-rawin', '-in', 'data',
                   '-sigfile', 'signature']
    else:
        command = ['dgst', '-' + scheme.rpartition('-')[2], '-verify', 'key.pem', '-signature',
                   'signature']
        if 'pss' in scheme:
            command += ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:digest']
        command.append('data')
    subprocess.run([openssl, *command], check=True, cwd=folder)  # noqa: S603


def _certificate(private: Any, digest: Any) -> x509.Certificate:
    """A certificate of a certificate authority, signed by itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'an authority')])
    now = datetime.now(UTC)
    return x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(
        private.public_key()).serial_number(x509.random_serial_number()).not_valid_before(
        now - timedelta(minutes=1)).not_valid_after(now + timedelta(days=1)).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(private, digest)
