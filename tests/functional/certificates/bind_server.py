# SPDX-License-Identifier: Apache-2.0
"""Run a real name server: BIND (Debian's package), which takes updates that are signed with a key.

It has two zones. In `test` the key may change TXT records; in `example` nobody may change any. Every
name in both has the address 127.0.0.1, until something is below it. As a resolver it knows of no other,
but follows aliases from one zone to the other.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rdatatype

from tests.functional.servers import HOST, reserved_port, running, wait_until

KEY_NAME = 'acme-key'
#: What `test` and `example` say besides; some names of `example` are aliases of names in `test`.
_ZONES = {
    'test': '',
    'example': """\
_acme-challenge.alias IN CNAME alias.proofs.test.
_acme-challenge.far IN CNAME _acme-challenge.alias
_acme-challenge.round IN CNAME _acme-challenge.round
_acme-challenge.out IN CNAME out.elsewhere.
"""}
_ZONE = """\
$TTL 60
@ IN SOA ns.test. hostmaster.test. 1 3600 600 86400 5
@ IN NS ns.test.
* IN A 127.0.0.1
"""
_CONFIGURATION = """\
include "{home}/key.conf";
options {{
  directory "{home}"; pid-file "{home}/pid"; session-keyfile "{home}/session.key";
  listen-on port {port} {{ {host}; }}; listen-on-v6 {{ none; }};
  recursion yes; forward only; forwarders {{ {host} port 9; }}; dnssec-validation no;
  notify no; allow-transfer {{ {host}; }};
}};
controls {{ }};
"""
_PRIMARY = """\
zone "test" {{ type primary; file "test.zone";
  update-policy {{ grant {key} wildcard *.test. TXT; }}; }};
zone "example" {{ type primary; file "example.zone"; }};
"""
_SECONDARY = """\
zone "test" {{ type secondary; file "test.copy"; primaries {{ {host} port {primary}; }}; }};
"""
_SECONDS = 5


class BindServer:
    """A name server on a port of 127.0.0.1."""

    def __init__(self, home, log, *, port):
        """Take the folder `home` for its files; start nothing yet."""
        self.home, self.port = home, port
        #: The key, as tsig-keygen writes it.
        self.key_file = home / 'key.conf'
        self.address = f'{HOST}:{port}'
        self._log, self._running = log, contextlib.ExitStack()

    def configure(self, zones, **values):
        """Write its configuration, with a text that names its zones."""
        (self.home / 'named.conf').write_text((_CONFIGURATION + zones).format(
            home=self.home, host=HOST, port=self.port, key=KEY_NAME, **values))

    def options(self, **more):
        """The options of a responder of the plugin dns_01, by name, that reach it alone."""
        return {'server': self.address, 'tsig_key_file': str(self.key_file),
                'authoritative': [self.address], 'resolvers': [self.address], 'poll_seconds': 0.1,
                **more}

    def start(self):
        """Start it, and wait until it answers."""
        # One thread, for it would start one a core; and no user, for its folder is ours.
        command = [_program('named'), '-g', '-4', '-n', '1', '-c', str(self.home / 'named.conf')]
        self._process = self._running.enter_context(running(command, self._log))
        wait_until(self.answers, self._process, self._log)

    def stop(self):
        """Stop it, in order."""
        self._running.close()

    @contextlib.contextmanager
    def down(self):
        """Have no server while the block lasts."""
        self.stop()
        yield
        self.start()

    @contextlib.contextmanager
    def frozen(self):
        """Have it say nothing while the block lasts."""
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)

    def answers(self):
        """Tell whether it has the zone test."""
        try:
            return bool(self._ask('test.', 'SOA', seconds=1).flags & dns.flags.AA)
        except (OSError, dns.exception.DNSException):
            return False

    def texts(self, name):
        """Give the values of all TXT records of a name, sorted."""
        return sorted(b''.join(record.strings).decode() for records in self._ask(name, 'TXT').answer
                      for record in records)

    def serial(self):
        """Give the serial number of the zone test, which each change raises."""
        return self._ask('test.', 'SOA').answer[0][0].serial

    def notify(self):
        """Tell it that the zone test has changed, as its primary would."""
        message = dns.message.make_query('test.', 'SOA', flags=dns.flags.AA)
        message.set_opcode(dns.opcode.NOTIFY)
        dns.query.udp(message, HOST, timeout=_SECONDS, port=self.port)

    def _ask(self, name, kind, *, seconds=_SECONDS):
        question = dns.message.make_query(dns.name.from_text(name), kind)
        return dns.query.tcp(question, HOST, timeout=seconds, port=self.port)


@contextlib.contextmanager
def run_bind(folder):
    """Run a BIND that keeps its log in `folder`; give a `BindServer`."""
    with _prepared(folder, 'bind') as server:
        made = subprocess.run([_program('tsig-keygen'), '-a', 'hmac-sha256', KEY_NAME],
                              capture_output=True, text=True, check=True)
        server.key_file.touch(mode=0o600)
        server.key_file.write_text(made.stdout)
        for zone, more in _ZONES.items():
            (server.home / f'{zone}.zone').write_text(_ZONE + more)
        server.configure(_PRIMARY)
        server.start()
        yield server


@contextlib.contextmanager
def run_secondary(folder, primary):
    """Run another, which has the zone test of `primary`: a copy that is made at its start, and anew when
    it is told to by `notify`."""
    with _prepared(folder, 'bind-secondary') as server:
        shutil.copy(primary.key_file, server.key_file)
        server.configure(_SECONDARY, primary=primary.port)
        server.start()
        yield server


@contextlib.contextmanager
def _prepared(folder, name):
    with tempfile.TemporaryDirectory(prefix='km-bind-') as home, reserved_port() as port:
        server = BindServer(Path(home), Path(folder, f'{name}.log'), port=port)
        try:
            yield server
        finally:
            server.stop()


def _program(name):
    """Where Debian has what only root has in its PATH."""
    return shutil.which(name) or f'/usr/sbin/{name}'
