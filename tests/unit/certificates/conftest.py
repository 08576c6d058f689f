# SPDX-License-Identifier: Apache-2.0
"""OpenSSL, which makes requests and certificates independently of km, and looks at km's."""
import subprocess
from pathlib import Path

import pytest

#: How ``openssl genpkey`` is told of a kind of key.
KINDS = {'rsa': ('RSA', 'rsa_keygen_bits:2048'), 'rsa-3072': ('RSA', 'rsa_keygen_bits:3072'),
         'p256': ('EC', 'ec_paramgen_curve:P-256'), 'p384': ('EC', 'ec_paramgen_curve:P-384'),
         'p521': ('EC', 'ec_paramgen_curve:P-521'), 'ed25519': ('ED25519', None),
         'ed448': ('ED448', None), 'rsa-1024': ('RSA', 'rsa_keygen_bits:1024'),
         'k256': ('EC', 'ec_paramgen_curve:secp256k1'),
         'brainpool': ('EC', 'ec_paramgen_curve:brainpoolP256r1')}


class OpenSsl:
    """The program, in a folder of its own."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __call__(self, *arguments: str, given: bytes = b'') -> bytes:
        ran = subprocess.run(['openssl', *arguments], cwd=self.folder, input=given, capture_output=True)
        assert ran.returncode == 0, ran.stderr.decode()
        return ran.stdout

    def key(self, kind: str = 'p256') -> Path:
        """A file with a new private key, the same again for the same kind."""
        path = self.folder / f'{kind}.pem'
        if not path.exists():
            algorithm, option = KINDS[kind]
            self('genpkey', '-algorithm', algorithm, *(('-pkeyopt', option) if option else ()),
                 '-out', str(path))
        return path

    def request(self, *, kind: str = 'p256', subject: str = '/CN=a.example', sections: str = '',
                names: str = 'DNS:a.example', extensions: str = '') -> bytes:
        """PKCS#10, DER."""
        alternative = f'subjectAltName={names}\n' if names else ''
        asked = f'req_extensions=asked\n[asked]\n{alternative}{extensions}\n' if (
            names or extensions) else ''
        (self.folder / 'req.cnf').write_text(f'[req]\ndistinguished_name=dn\n{asked}[dn]\n{sections}\n')
        return self('req', '-new', '-config', 'req.cnf', '-key', str(self.key(kind)), '-subj', subject,
                    '-utf8', '-outform', 'DER')


@pytest.fixture(scope='session')
def openssl(tmp_path_factory):
    return OpenSsl(tmp_path_factory.mktemp('openssl'))
