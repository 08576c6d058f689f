# SPDX-License-Identifier: Apache-2.0
"""Run a second real ACME authority: acme2certifier, which tells when to renew (RFC 9773) and has a CRL.

It is a program of its own, of another licence, in an environment of its own. It has no options for
ports, and nobody has to be root: it fetches the pages of http-01 through a proxy that its environment
names, which is the listener of a responder; and the library with which it asks name servers is told
another port than 53. All else is as it comes, and every proof is looked at.
"""

import contextlib
import datetime
import http.client
import json
import os
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.functional.certificates import Authority
from tests.functional.servers import HOST, reserved_port, running, wait_until

_CONFIGURATION = """\
[DEFAULT]
debug: False
server_name: {host}:{port}
dns_server_list: ["{host}"]
[Nonce]
nonce_check_disable: False
[CAhandler]
handler_module: acme2certifier.cahandlers.openssl_ca_handler
issuing_ca_key: {home}/issuer.key
issuing_ca_cert: {home}/issuer.pem
issuing_ca_crl: {home}/issuer.crl
ca_cert_chain_list: []
cert_validity_days: 30
cert_save_path: {home}/issued
openssl_conf: {home}/extensions.cfg
[DBhandler]
handler_module: acme2certifier.dbhandlers.wsgi_handler
dbfile: {home}/acme2certifier.sqlite
[Challenge]
tls_alpn_01_support: False
[Renewalinfo]
renewalthreshold_pctg: 60
retry_after_timeout: {retry_after}
"""
_EXTERNAL_ACCOUNTS = """\
[EABhandler]
eab_handler_module: acme2certifier.eabhandlers.json_handler
key_file: {home}/accounts.json
"""
_EXTENSIONS = """\
[extensions]
subjectKeyIdentifier: hash, issuer:always
keyUsage: critical, digitalSignature
basicConstraints: critical, CA:FALSE
authorityKeyIdentifier: keyid:always, issuer:always
extendedKeyUsage: serverAuth
"""
#: What the web server is told, in Python: how to serve, and at which port name servers are asked.
_WEB_SERVER = """\
import dns.resolver

bind, threads = '{host}:{port}', 4
certfile, keyfile = '{home}/server.pem', '{home}/server.key'
control_socket_disable = True

def _reset(resolver, reset=dns.resolver.BaseResolver.reset):
    reset(resolver)
    resolver.port = {dns_port}

dns.resolver.BaseResolver.reset = _reset
"""
_SECONDS = 5


class Acme2certifierServer:
    """An acme2certifier, the CA that vouches for its HTTPS, and the one that it issues by.

    `http_port` is where it looks for http-01 proofs of any name.
    """

    def __init__(self, home, log, *, ports, dns_port, eab, retry_after):
        """Take the folder `home` for its files; start nothing yet."""
        self.home, self.ca_file = home, home / 'ca.pem'
        self.port, self.http_port = ports
        self._log, self._running = log, contextlib.ExitStack()
        Authority(home).server()
        self.issuer = _issuer(home)
        (home / 'issued').mkdir()
        values = {'home': home, 'host': HOST, 'port': self.port, 'http_port': self.http_port,
                  'dns_port': dns_port, 'retry_after': retry_after}
        text = _CONFIGURATION + (_EXTERNAL_ACCOUNTS if eab else '')
        (home / 'acme_srv.cfg').write_text(text.format(**values))
        (home / 'accounts.json').write_text(json.dumps(eab or {}))
        (home / 'extensions.cfg').write_text(_EXTENSIONS)
        (home / 'gunicorn.conf.py').write_text(_WEB_SERVER.format(**values))

    @property
    def directory_url(self):
        return f'https://{HOST}:{self.port}/directory'

    def start(self, python):
        """Start it with the python of its environment, and wait until it answers."""
        process = self._running.enter_context(running(
            [str(python), '-m', 'gunicorn', '-c', str(self.home / 'gunicorn.conf.py'),
             'acme2certifier.share.acme2certifier_wsgi:application'],
            self._log, cwd=self.home, env=self._environment()))
        wait_until(self.answers, process, self._log)

    def _environment(self):
        """Give its variables: nothing but http-01 has it ask anybody by HTTP without TLS."""
        kept = {name: value for name, value in os.environ.items() if 'proxy' not in name.lower()}
        return {**kept, 'ACME_SRV_CONFIGFILE': str(self.home / 'acme_srv.cfg'),
                'http_proxy': f'http://{HOST}:{self.http_port}'}

    def stop(self):
        """Stop it."""
        self._running.close()

    def directory(self):
        """Give what it says of itself."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        connection = http.client.HTTPSConnection(HOST, self.port, timeout=_SECONDS, context=context)
        with contextlib.closing(connection):
            connection.request('GET', '/directory')
            return json.loads(connection.getresponse().read())

    def answers(self):
        """Tell whether it answers."""
        try:
            return 'newOrder' in self.directory()
        except (OSError, ValueError, http.client.HTTPException):
            return False

    def issued(self):
        """Tell how many certificates it ever issued."""
        return len(list((self.home / 'issued').glob('*.pem')))

    def crl(self):
        """Give its CRL, whose signature was found to be its issuer's; None if nothing was revoked."""
        path = self.home / 'issuer.crl'
        if not path.exists():
            return None
        read = x509.load_pem_x509_crl(path.read_bytes())
        assert read.is_signature_valid(self.issuer.public_key())
        return read


@contextlib.contextmanager
def run_acme2certifier(folder, python, *, dns_port, eab=None, retry_after=7200):
    """Run one that keeps its log in `folder`; give an `Acme2certifierServer`.

    :param python: of the environment it is in: see `acme2certifier_venv`.
    :param dns_port: of the DNS server that it asks.
    :param eab: the HMAC keys of external accounts, base64url, by key id; it then wants such of all.
    :param retry_after: after how many seconds to ask again when to renew.
    """
    with (tempfile.TemporaryDirectory(prefix='km-acme2certifier-') as home, reserved_port() as port,
          reserved_port() as http_port):
        server = Acme2certifierServer(
            Path(home), Path(folder, 'acme2certifier.log'), ports=(port, http_port), dns_port=dns_port,
            eab=eab, retry_after=retry_after)
        try:
            server.start(python)
            yield server
        finally:
            server.stop()


def _issuer(home):
    """Write issuer.pem and issuer.key, and give the certificate."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'km test issuer')])
    made = (x509.CertificateBuilder()
            .subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256()))
    (home / 'issuer.pem').write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (home / 'issuer.key').touch(mode=0o600)
    (home / 'issuer.key').write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return made
