# SPDX-License-Identifier: Apache-2.0
"""The proof of dns-01 (RFC 8555, 8.4): a TXT record that whoever has a name's zone can put there."""
import base64
import hashlib
import ipaddress
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import dns.exception
import dns.flags
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
import dns.tsig
from oslo_config import cfg

from km.interfaces import Challenge, ChallengeResponder, Rejected, Unavailable
from km.plugins.challenge_responder import dns_places, tsig_keys
from km.plugins.challenge_responder.complaints import address, misconfigured
from km.plugins.challenge_responder.dns_places import Places
from km.plugins.challenge_responder.dns_record import Record
from km.plugins.challenge_responder.name_server import KeyRefused, NameServer, shown
from km.plugins.challenge_responder.proof_folder import ProofFolder

LOG = logging.getLogger(__name__)

_SUFFIX = '.json'
_MOST_SERVERS_AT_ONCE = 16


class Dns01(ChallengeResponder):
    """Adds and removes TXT records by dynamic update (RFC 2136), signed (RFC 8945).

    A name may have several at once, as it has for ``example.org`` and ``*.example.org`` in one order:
    each is added and removed by itself. A folder remembers what was added, and where.
    """

    kind = 'dns-01'
    options = (
        cfg.StrOpt('path', required=True,
                   help='A folder to remember the records in that were added, so that none is left for '
                        'ever. Only the user km runs as may write to it.'),
        cfg.StrOpt('server', required=True,
                   help='The name server that takes updates, as host or host:port (53 if it is left '
                        'out): the primary of the zones, hidden or not.'),
        cfg.ListOpt('zones', default=[],
                    help='The zones that km may change on it. If there are none, the server is asked '
                         'which of its zones a name is in.'),
        cfg.StrOpt('tsig_key_file', required=True,
                   help='The file with the TSIG key that updates are signed with: as tsig-keygen writes '
                        'it, or ALGORITHM:NAME:SECRET, as "nsupdate -y" takes it. hmac-sha224 to '
                        'hmac-sha512. Not readable by everybody. It is read at start.'),
        cfg.IntOpt('ttl', default=60, min=0, max=86400,
                   help='For how many seconds the records may be cached.'),
        cfg.ListOpt('authoritative', default=[],
                    help='The name servers that must all have a record before an authority is told of '
                         'it, each as host or host:port. If there are none, it is every server that '
                         'the zone has an NS record for. Set it if those cannot be reached from here.'),
        cfg.ListOpt('resolvers', default=[],
                    help='The resolvers, as address or address:port, to ask about aliases (CNAME) in '
                         'zones that are not of the server, and for the addresses of name servers. If '
                         'there are none, those of the system.'),
        cfg.FloatOpt('timeout_seconds', default=3, min=0.1,
                     help='How long to wait for one answer of one name server.'),
        cfg.FloatOpt('poll_seconds', default=2, min=0.1,
                     help='After how long to look again whether all name servers have a record.'))

    def open(self) -> None:
        """Read the key; remove what was left long ago.

        :raises Misconfigured: an option cannot work.
        """
        settings = self.settings
        self._folder = ProofFolder(settings.path)
        self._folder.require(self.name)
        try:
            self._key = tsig_keys.read(settings.tsig_key_file)
        except ValueError as error:
            raise misconfigured(self.name, 'tsig_key_file', str(error)) from None
        self._server = self._servers('server', [settings.server], self._key)[0]
        self._authoritative = self._servers('authoritative', settings.authoritative)
        self._zones = self._names('zones', settings.zones)
        self._places = Places(self._server, self._zones, resolver=self._resolver(),
                              seconds=settings.timeout_seconds)
        self._remove_old()

    def present(self, challenge: Challenge) -> float:
        """Add the record, and see where it is.

        :returns: 0 once every authoritative server has it.
        :raises Rejected: the identifier is in no zone that the name server lets km change.
        """
        record = Record(self._places.of(challenge.identifier), _value(challenge))
        before = self._remembered(_file(challenge))
        if before and before != record:  # an alias leads elsewhere now
            self._forget(before, _file(challenge))
        if before != record:
            self._folder.put(_file(challenge), record.to_json())
        if record.value not in self._server.texts(record.place.name):
            self._add(challenge, record)
        return 0.0 if self._everywhere(record) else self.settings.poll_seconds

    def remove(self, challenge: Challenge) -> None:
        """Remove the record from where it was added."""
        record = self._remembered(_file(challenge))
        try:
            record = record or Record(self._places.of(challenge.identifier), _value(challenge))
        except Rejected:  # then it was never added
            return
        try:
            self._server.change(record.deletion())
        except Rejected as error:
            raise Unavailable(error.sentence) from None
        self._folder.remove(_file(challenge))

    def check(self) -> str:
        """Ask for the SOA record of each zone, signed.

        :raises Misconfigured: the server does not take the key, or has no such zone.
        """
        try:
            for zone in self._zones or [dns.name.root]:
                answer = self._server.ask(zone, dns.rdatatype.SOA)
                if self._zones and not (answer.flags & dns.flags.AA and answer.answer):
                    raise misconfigured(self.name, 'zones', f'{self._server} has no zone {shown(zone)}')
        except KeyRefused as error:
            raise misconfigured(
                self.name, 'tsig_key_file', error.sentence.removesuffix('.')) from None
        zones = ', '.join(map(shown, self._zones)) or 'it has'
        return f'{self._server} answers to the key {shown(self._key.name)}, for the zones {zones}'

    def _servers(self, option: str, texts: Iterable[str], key: dns.tsig.Key | None = None
                 ) -> list[NameServer]:
        made = []
        for text in texts:
            try:
                host, port = address(text, dns_places.DNS_PORT)
            except ValueError:
                raise misconfigured(self.name, option, f"'{text}' is no host or host:port") from None
            made.append(NameServer(host, port, seconds=self.settings.timeout_seconds, key=key))
        return made

    def _names(self, option: str, texts: Iterable[str]) -> list[dns.name.Name]:
        try:
            return [dns.name.from_text(text) for text in texts]
        except dns.exception.DNSException:
            raise misconfigured(self.name, option, 'one of them is no name of a zone') from None

    def _resolver(self) -> dns.resolver.Resolver:
        try:
            made = dns.resolver.Resolver(configure=not self.settings.resolvers)
            if self.settings.resolvers:
                made.nameservers = [
                    dns.nameserver.Do53Nameserver(str(ipaddress.ip_address(server.host)), server.port)
                    for server in self._servers('resolvers', self.settings.resolvers)]
        except ValueError:
            raise misconfigured(self.name, 'resolvers', 'one of them is no IP address') from None
        except dns.exception.DNSException:
            raise misconfigured(self.name, 'resolvers', 'the system has none; set some') from None
        made.timeout = self.settings.timeout_seconds
        made.lifetime = 2 * self.settings.timeout_seconds
        return made

    def _everywhere(self, record: Record) -> bool:
        """Whether each authoritative server has a record."""
        servers = [[server] for server in self._authoritative] or self._places.authorities(
            record.place.zone)
        with ThreadPoolExecutor(min(len(servers), _MOST_SERVERS_AT_ONCE)) as threads:
            return all(threads.map(lambda addresses: _is_at(record, addresses), servers))

    def _add(self, challenge: Challenge, record: Record) -> None:
        try:
            self._server.change(record.addition(self.settings.ttl))
        except Rejected:  # there is nothing to remove then
            self._folder.remove(_file(challenge))
            raise

    def _remembered(self, file: str) -> Record | None:
        return Record.from_json(self._folder.read(file) or b'')

    def _remove_old(self) -> None:
        """Remove what nobody did. If the server does not answer it is for the next start; if it refuses,
        for nobody."""
        try:
            for file in self._folder.old():
                record = self._remembered(file)
                if record:
                    self._forget(record, file)
        except Unavailable as error:
            LOG.warning('Records that were left for dns-01 are still there: %s', error.sentence)

    def _forget(self, record: Record, file: str) -> None:
        try:
            self._server.change(record.deletion())
        except Rejected as error:
            LOG.warning('A record that was left at %s stays there: %s', shown(record.place.name),
                        error.sentence)
        self._folder.remove(file)


def _is_at(record: Record, addresses: Sequence[NameServer]) -> bool:
    """Whether a server has a record: at one address or more, and at no address that answers not. One
    that does not answer may be of an IP version that this host has not."""
    seen = False
    for server in addresses:
        try:
            if record.value not in server.texts(record.place.name, recursive=True):
                LOG.info('The name server %s does not have a record at %s yet.', server,
                         shown(record.place.name))
                return False
        except Unavailable as error:
            LOG.info('A record at %s cannot be looked for: %s', shown(record.place.name),
                     error.sentence)
        else:
            seen = True
    return seen


def _value(challenge: Challenge) -> bytes:
    digest = hashlib.sha256(challenge.key_authorization.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b'=')


def _file(challenge: Challenge) -> str:
    named = f'{challenge.identifier} {_value(challenge).decode()}'
    return hashlib.sha256(named.encode()).hexdigest() + _SUFFIX
