# SPDX-License-Identifier: Apache-2.0
"""Where in the DNS the proof of a name belongs, and who says what is there."""
import contextlib
import ipaddress
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from km.interfaces import Rejected, Unavailable
from km.plugins.challenge_responder.name_server import NameServer, shown

LOG = logging.getLogger(__name__)

#: The port of every authoritative server that an NS record names.
DNS_PORT = 53

_MOST_ALIASES = 8
_DOMAIN = re.compile(r'(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*')


@dataclass(frozen=True, slots=True)
class Place:
    """A name for TXT records, and the zone it is in."""

    zone: dns.name.Name
    name: dns.name.Name


class Places:
    """What there is to know of the zones of one name server."""

    def __init__(self, server: NameServer, zones: Sequence[dns.name.Name], *,
                 resolver: dns.resolver.Resolver, seconds: float):
        """Remember them.

        :param server: who is told of changes.
        :param zones: those it has; none for it to be asked.
        :param resolver: who knows of all others.
        :param seconds: how long to wait for one answer of another server.
        """
        self._server, self._zones, self._resolver = server, zones, resolver
        self._seconds = seconds

    def of(self, identifier: str) -> Place:
        """Where the proof of an identifier belongs: ``_acme-challenge`` below it (RFC 8555, 8.4), or
        where aliases (CNAME) lead from there.

        :raises Rejected: the identifier is no domain name, or that is in no zone of the server.
        :raises Unavailable: the server or the resolver does not answer.
        """
        name = _challenge_name(identifier)
        for _ in range(_MOST_ALIASES):
            zone, alias = self._look(name)
            if alias is None:
                if zone is None:
                    raise Rejected(f'The name server {self._server} has no zone with {shown(name)}.')
                return Place(zone, name)
            name = alias
        raise Rejected(f'Too many aliases lead on from _acme-challenge.{identifier}.')

    def authorities(self, zone: dns.name.Name) -> list[list[NameServer]]:
        """The authoritative servers of a zone, as the server names them: each by all its addresses.

        :raises Unavailable: the server does not answer, or names none.
        """
        answer = self._server.ask(zone, dns.rdatatype.NS)
        hosts = [record.target for records in answer.answer
                 if records.rdtype == dns.rdatatype.NS and records.name == zone for record in records]
        if not hosts:
            raise Unavailable(f'The name server {self._server} names no server of {shown(zone)}.')
        return [[NameServer(found, DNS_PORT, seconds=self._seconds) for found in self._addresses(host)]
                for host in hosts]

    def _addresses(self, host: dns.name.Name) -> list[str]:
        found = []
        for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
            with contextlib.suppress(dns.exception.DNSException):
                answer = self._resolver.resolve(host, kind, raise_on_no_answer=False, search=False)
                found += [record.address for record in answer.rrset or ()]
        if not found:
            LOG.info('The name server %s has no address that is known here.', shown(host))
        return found

    def _look(self, name: dns.name.Name) -> tuple[dns.name.Name | None, dns.name.Name | None]:
        """In which zone of the server a name is, and for what name it is an alias; None if it is not."""
        zone = max((zone for zone in self._zones if name.is_subdomain(zone)), key=len, default=None)
        if self._zones and zone is None:
            return None, self._alias(name)
        answer = self._server.ask(name, dns.rdatatype.CNAME)
        if answer.rcode() == dns.rcode.SERVFAIL:
            raise Unavailable(f'The name server {self._server} does not know of {shown(name)} now '
                              '(SERVFAIL).')
        if not answer.flags & dns.flags.AA:
            return (zone, None) if zone else (None, self._alias(name))
        alias = next((records[0].target for records in answer.answer
                      if records.rdtype == dns.rdatatype.CNAME and records.name == name), None)
        found = next((records.name for records in answer.authority
                      if records.rdtype == dns.rdatatype.SOA), None)
        return zone or found, alias

    def _alias(self, name: dns.name.Name) -> dns.name.Name | None:
        """For what name another is an alias, by all that the resolver knows."""
        try:
            answer = self._resolver.resolve(name, dns.rdatatype.CNAME, raise_on_no_answer=False,
                                            search=False)
        except dns.resolver.NXDOMAIN:
            return None
        except dns.exception.DNSException:
            raise Unavailable(f'No resolver says whether {shown(name)} is an alias.') from None
        return answer.rrset[0].target if answer.rrset else None


def _challenge_name(identifier: str) -> dns.name.Name:
    try:
        ipaddress.ip_address(identifier)
    except ValueError:
        if _DOMAIN.fullmatch(identifier):
            with contextlib.suppress(dns.exception.DNSException):  # too long, with what comes before it
                return dns.name.from_text(f'_acme-challenge.{identifier}')
    raise Rejected(f"dns-01 proves domain names, and '{identifier}' is none.")
