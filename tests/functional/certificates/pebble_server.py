# SPDX-License-Identifier: Apache-2.0
"""Run a real ACME authority: pebble (Debian's package), and the mock DNS that comes with it.

Pebble forgets everything when it stops. It looks for http-01 and tls-alpn-01 proofs at ports of its own
of the addresses that DNS tells, which are 127.0.0.1 in the mock: nobody has to be root.
"""

import contextlib
import json
import os
import re
import socket
import ssl
import tempfile
import urllib.request
from pathlib import Path

from cryptography import x509

from tests.functional.certificates import Authority
from tests.functional.servers import HOST, reserved_port, running, wait_until

_ISSUED = re.compile(r'Issued certificate serial ([0-9a-f]+)')
_SECONDS = 10


class PebbleServer:
    """A pebble, and the CA that vouches for its HTTPS.

    Ports stay the server's while it is down. `environment` are variables of pebble's; a test may
    change them, and start the server anew.
    """

    def __init__(self, home, log, *, ports, dns_port, environment, settings):
        """Take the folder `home` for its files; start nothing yet."""
        self.home, self.environment = home, environment
        self.port, self.management_port, self.http_port, self.tls_port = ports
        self.ca_file = home / 'ca.pem'
        self._log, self._dns_port, self._settings = log, dns_port, settings
        self._running = contextlib.ExitStack()
        Authority(home).server()

    @property
    def directory_url(self):
        return f'https://{HOST}:{self.port}/dir'

    def start(self):
        """Start it, empty, and wait until it answers."""
        (self.home / 'pebble.json').write_text(json.dumps({'pebble': {
            'listenAddress': f'{HOST}:{self.port}',
            'managementListenAddress': f'{HOST}:{self.management_port}',
            'certificate': str(self.home / 'server.pem'), 'privateKey': str(self.home / 'server.key'),
            'httpPort': self.http_port, 'tlsPort': self.tls_port, 'ocspResponderURL': '',
            **self._settings}}))
        process = self._running.enter_context(running(
            ['pebble', '-strict', '-config', str(self.home / 'pebble.json'),
             '-dnsserver', f'{HOST}:{self._dns_port}'],
            self._log, env={**os.environ, **self.environment}))
        wait_until(self.answers, process, self._log)

    def stop(self):
        """Stop it; it forgets accounts, orders, its own keys, everything."""
        self._running.close()

    def restart(self):
        """Have another one, which knows nobody, in its place."""
        self.stop()
        self.start()

    def answers(self):
        """Tell whether it answers."""
        try:
            return bool(self._managed('/roots/0'))
        except OSError:
            return False

    def issued(self):
        """Give the serial numbers of all that it ever issued, as hexadecimal, in order."""
        return _ISSUED.findall(self._log.read_text(errors='replace'))

    def status(self, certificate):
        """Give what it says of an x509.Certificate of its: `Valid` or `Revoked`, and the reason."""
        told = json.loads(self._managed(f'/cert-status-by-serial/{certificate.serial_number:x}'))
        return told['Status'], told.get('Reason')

    def roots(self):
        """Give its root certificates, the usual one first."""
        found = []
        with contextlib.suppress(OSError):
            while True:
                found.append(x509.load_pem_x509_certificate(self._managed(f'/roots/{len(found)}')))
        return found

    def _managed(self, path):
        context = ssl.create_default_context(cafile=str(self.ca_file))
        url = f'https://{HOST}:{self.management_port}{path}'
        with urllib.request.urlopen(url, context=context, timeout=_SECONDS) as answer:
            return answer.read()


@contextlib.contextmanager
def run_pebble(folder, *, dns_port, bad_nonces=0, reuse=0, eab=None, alternate_roots=0, chain_length=1,
               blocked=('blocked.test',), always_valid=False):
    """Run a pebble that keeps its log in `folder`; give a `PebbleServer`.

    :param dns_port: of the DNS server that it asks.
    :param bad_nonces: how many percent of good nonces it refuses.
    :param reuse: how many percent of valid authorisations it takes for another order as well.
    :param eab: the HMAC keys of external accounts, base64url, by key id; it then wants such of all.
    :param alternate_roots: how many other roots there are besides the usual one.
    :param chain_length: how many intermediates there are above a certificate.
    :param blocked: names that it issues no certificates for.
    :param always_valid: whether it takes each answered challenge for met, and looks at none.
    """
    environment = {
        'PEBBLE_VA_NOSLEEP': '1', 'PEBBLE_WFE_NONCEREJECT': str(bad_nonces),
        'PEBBLE_AUTHZREUSE': str(reuse), 'PEBBLE_ALTERNATE_ROOTS': str(alternate_roots),
        'PEBBLE_CHAIN_LENGTH': str(chain_length),
        **({'PEBBLE_VA_ALWAYS_VALID': '1'} if always_valid else {})}
    settings = {'domainBlocklist': list(blocked), 'externalAccountBindingRequired': bool(eab),
                'externalAccountMACKeys': eab or {}}
    with contextlib.ExitStack() as held:
        home = held.enter_context(tempfile.TemporaryDirectory(prefix='km-pebble-'))
        ports = [held.enter_context(reserved_port()) for _ in range(4)]
        server = PebbleServer(
            Path(home), Path(folder, 'pebble.log'), ports=ports, dns_port=dns_port,
            environment=environment, settings=settings)
        held.callback(server.stop)
        server.start()
        yield server


class MockDns:
    """The DNS server that comes with pebble: every name has the address 127.0.0.1, and what is added."""

    def __init__(self, *, dns_port, management_port):
        self.dns_port, self._management_port = dns_port, management_port
        #: What TXT records were set and not cleared: values by name.
        self.txt = {}

    def set_txt(self, name, value):
        """Add a TXT record of a name."""
        self._post('/set-txt', host=f'{name}.', value=value)
        self.txt.setdefault(name, []).append(value)

    def clear_txt(self, name):
        """Remove all TXT records of a name."""
        self._post('/clear-txt', host=f'{name}.')
        self.txt.pop(name, None)

    def fail(self, name):
        """Answer SERVFAIL to any question about a name."""
        self._post('/set-servfail', host=f'{name}.')

    def succeed(self, name):
        """Answer as ever to questions about a name."""
        self._post('/clear-servfail', host=f'{name}.')

    def _post(self, path, **body):
        url = f'http://{HOST}:{self._management_port}{path}'
        request = urllib.request.Request(url, json.dumps(body).encode())
        urllib.request.urlopen(request, timeout=_SECONDS).close()


@contextlib.contextmanager
def run_mock_dns(folder):
    """Run pebble's mock DNS (pebble-challtestsrv), its log in `folder`; give a `MockDns`."""
    log = Path(folder, 'mock-dns.log')
    with reserved_port() as dns_port, reserved_port() as management_port, running(
            # Pebble dials the IPv6 address first and only, if there is one.
            ['pebble-challtestsrv', '-defaultIPv6', '', '-dns01', f'{HOST}:{dns_port}',
             '-management', f'{HOST}:{management_port}', '-http01', '', '-https01', '',
             '-tlsalpn01', ''], log) as process:
        wait_until(lambda: _listens(dns_port) and _listens(management_port), process, log)
        yield MockDns(dns_port=dns_port, management_port=management_port)


def _listens(port):
    """Tell whether somebody takes connections at `port`."""
    try:
        socket.create_connection((HOST, port), timeout=_SECONDS).close()
    except OSError:
        return False
    return True
