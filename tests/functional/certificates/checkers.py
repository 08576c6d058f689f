# SPDX-License-Identifier: Apache-2.0
"""Other people's opinion of certificates, CRLs and OCSP answers: pkilint, OpenSSL, GnuTLS, pyHanko.

Nothing here shares code with what is checked. Everything goes in as DER.
"""
import asyncio
import contextlib
import io
import itertools
import json
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pkilint.bin import (
    lint_crl,
    lint_ocsp_response,
    lint_pkix_cert,
    lint_pkix_signer_signee_cert_chain,
)
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathError, ValidationError

#: What pkilint warns about, and we do on purpose, by its code. Empty: RFC 5280 alone asks nothing that
#: we do not. A test that needs one passes it, and says why.
ALLOWED: frozenset[str] = frozenset()

_SECONDS = 20


def require_sound_certificate(certificate: bytes, chain: Sequence[bytes], root: bytes, *,
                              purpose: str | None = None, crls: Sequence[bytes] = (),
                              deltas: Sequence[bytes] = (),
                              allowed: Collection[str] = ALLOWED) -> None:
    """Insist that a certificate is well made, that its issuer made it, and that its path is good.

    :param chain: the certificates above it, its issuer first; with or without ``root``.
    :param purpose: of OpenSSL's, such as ``sslserver``; None for any.
    :param crls: complete CRLs, of each issuer in the path; without any, revocation is not looked at.
    :param deltas: CRLs of what changed since those.
    :param allowed: codes of findings that are not held against it.
    """
    lint_certificate(certificate, allowed=allowed)
    path = [certificate, *_without(chain, root), root]
    for signee, signer in itertools.pairwise(path):
        _lint(lint_pkix_signer_signee_cert_chain, [], [signer, signee], allowed)
    told = openssl_verdict(certificate, chain, root, purpose=purpose, crls=crls, deltas=deltas)
    assert told is None, f'OpenSSL: {told}'
    told = gnutls_verdict(certificate, chain, root)
    assert told is None, f'GnuTLS: {told}'


def lint_certificate(certificate: bytes, *, allowed: Collection[str] = ALLOWED) -> None:
    """Insist that pkilint finds nothing against RFC 5280 in a certificate."""
    _lint(lint_pkix_cert, [], [certificate], allowed)


def openssl_verdict(certificate: bytes, chain: Sequence[bytes], root: bytes, *,
                    purpose: str | None = None, crls: Sequence[bytes] = (),
                    deltas: Sequence[bytes] = ()) -> str | None:
    """What ``openssl verify -x509_strict`` has against a path, None if nothing; with CRLs it looks at
    the revocation of each certificate in it."""
    with _files() as folder:
        asked = ['openssl', 'verify', '-x509_strict', '-CAfile', _pem(folder, 'root', [root]),
                 '-no-CApath', '-no-CAstore', '-untrusted', _pem(folder, 'chain', chain or [root])]
        if purpose:
            asked += ['-purpose', purpose]
        if crls:
            asked += ['-crl_check_all', '-CRLfile', _crls(folder, [*crls, *deltas])]
        if deltas:
            asked += ['-extended_crl', '-use_deltas']
        done = _run([*asked, _pem(folder, 'certificate', [certificate])])
    return None if done.returncode == 0 else done.stdout + done.stderr


def gnutls_verdict(certificate: bytes, chain: Sequence[bytes], root: bytes) -> str | None:
    """What GnuTLS has against a path, None if nothing."""
    with _files() as folder:
        done = _run(['certtool', '--verify', '--load-ca-certificate', _pem(folder, 'root', [root]),
                     '--infile', _pem(folder, 'chain', [certificate, *_without(chain, root)])])
    return None if done.returncode == 0 else done.stdout + done.stderr


def pyhanko_verdict(certificate: bytes, chain: Sequence[bytes], root: bytes, *,
                    crls: Sequence[bytes], ocsps: Sequence[bytes] = ()) -> str | None:
    """What pyHanko's validator has against a path, None if nothing. It insists on knowing of each
    certificate in it whether it is revoked."""
    loaded, anchor = asn1.Certificate.load(certificate), asn1.Certificate.load(root)
    context = ValidationContext(trust_roots=[anchor], crls=crls, ocsps=ocsps, allow_fetching=False,
                                revocation_mode='hard-fail')
    above = [asn1.Certificate.load(der) for der in _without(chain, root)]
    try:
        asyncio.run(CertificateValidator(loaded, above, context).async_validate_path())
    except (PathError, ValidationError) as error:
        return str(error)
    return None


def require_sound_crl(crl: bytes, issuer: bytes, *, authorities: bool = False,
                      allowed: Collection[str] = ALLOWED) -> None:
    """Insist that a CRL is well made and that its issuer signed it.

    :param authorities: whether it is one that revokes nothing but authorities.
    """
    _lint(lint_crl, ['-t', 'ARL' if authorities else 'CRL', '-p', 'PKIX'], [crl], allowed)
    with _files() as folder:
        signer, path = _pem(folder, 'issuer', [issuer]), _crls(folder, [crl])
        told = _run(['openssl', 'crl', '-noout', '-CAfile', signer, '-in', path])
        assert 'verify OK' in told.stderr, f'OpenSSL: {told.stderr}'
        told = _run(['certtool', '--verify-crl', '--load-ca-certificate', signer, '--infile', path])
        assert told.returncode == 0, f'GnuTLS: {told.stdout}{told.stderr}'


def require_sound_ocsp(answer: bytes, certificate: bytes, issuer: bytes, *, chain: Sequence[bytes] = (),
                       root: bytes | None = None, digest: str = 'sha1',
                       allowed: Collection[str] = ALLOWED) -> str:
    """Insist that an OCSP answer is well made and comes from who may speak for the issuer.

    :param chain: the certificates above ``issuer``; ``root``: the last, if it is not ``issuer``.
    :param digest: the hash in the question.
    :returns: what it says of ``certificate``: ``good``, ``revoked`` or ``unknown``.
    """
    _lint(lint_ocsp_response, [], [answer], allowed)
    with _files() as folder:
        anchor, signer = _pem(folder, 'root', [root or issuer]), _pem(folder, 'issuer', [issuer])
        leaf, path = _pem(folder, 'certificate', [certificate]), folder / 'answer'
        path.write_bytes(answer)
        told = _run(['openssl', 'ocsp', '-respin', str(path), '-issuer', signer, f'-{digest}',
                     '-cert', leaf, '-no_nonce', '-CAfile', anchor, '-no-CApath', '-no-CAstore',
                     '-verify_other', _pem(folder, 'others', [issuer, *chain])])
        assert told.returncode == 0, f'OpenSSL: {told.stdout}{told.stderr}'
        assert 'Response verify OK' in told.stderr, f'OpenSSL: {told.stderr}'
        status = told.stdout.partition(': ')[2].split()[0]
        told = _run(['ocsptool', '--verify-response', '--load-response', str(path),
                     '--load-issuer', signer, '--load-trust', signer])
        assert 'Success' in told.stdout, f'GnuTLS: {told.stdout}{told.stderr}'
    return status


def _lint(linter, arguments: list[str], documents: Sequence[bytes],
          allowed: Collection[str]) -> None:
    with _files() as folder:
        paths = [folder / str(number) for number in range(len(documents))]
        for path, document in zip(paths, documents, strict=True):
            path.write_bytes(document)
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            linter.main(['lint', *arguments, '-s', 'WARNING', '-f', 'JSON', *map(str, paths)])
    found = [finding for result in json.loads(told.getvalue())['results']
             for finding in result['finding_descriptions'] if finding['code'] not in allowed]
    assert not found, f'pkilint: {found}'


def _without(chain: Sequence[bytes], root: bytes) -> list[bytes]:
    return [certificate for certificate in chain if certificate != root]


@contextlib.contextmanager
def _files() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _pem(folder: Path, name: str, certificates: Sequence[bytes]) -> str:
    path = folder / f'{name}.pem'
    path.write_bytes(b''.join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
                              for der in certificates))
    return str(path)


def _crls(folder: Path, crls: Sequence[bytes]) -> str:
    path = folder / 'crls.pem'
    path.write_bytes(b''.join(x509.load_der_x509_crl(der).public_bytes(Encoding.PEM) for der in crls))
    return str(path)


def _run(command: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
