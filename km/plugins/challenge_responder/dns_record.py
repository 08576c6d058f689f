# SPDX-License-Identifier: Apache-2.0
"""A TXT record that proves something: how it is added to a zone, removed, and remembered meanwhile."""
import json
import re
from dataclasses import dataclass

import dns.exception
import dns.name
import dns.rdatatype
import dns.update

from km.plugins.challenge_responder.dns_places import Place

_VALUE = re.compile(rb'[A-Za-z0-9_-]{43}')


@dataclass(frozen=True, slots=True)
class Record:
    """One value, at one place.

    :param value: base64url of a SHA-256 digest, without padding.
    """

    place: Place
    value: bytes

    def addition(self, ttl: int) -> dns.update.UpdateMessage:
        """The update (RFC 2136, 2.5.1) that adds it; without effect if it is there."""
        made = dns.update.UpdateMessage(self.place.zone)
        made.add(self.place.name, ttl, dns.rdatatype.TXT, self.value.decode('ascii'))
        return made

    def deletion(self) -> dns.update.UpdateMessage:
        """The update (RFC 2136, 2.5.4) that removes it, and no other value; without effect if it is
        gone."""
        made = dns.update.UpdateMessage(self.place.zone)
        made.delete(self.place.name, dns.rdatatype.TXT, self.value.decode('ascii'))
        return made

    def to_json(self) -> bytes:
        """The content of a file."""
        return json.dumps({'zone': str(self.place.zone), 'name': str(self.place.name),
                           'value': self.value.decode('ascii')}).encode('ascii')

    @classmethod
    def from_json(cls, content: bytes) -> 'Record | None':
        """What a file says; None if it says nothing of the kind."""
        try:
            said = json.loads(content)
            value = said['value'].encode('ascii')
            place = Place(dns.name.from_text(said['zone']), dns.name.from_text(said['name']))
        except (ValueError, KeyError, TypeError, AttributeError, dns.exception.DNSException):
            return None
        return cls(place, value) if _VALUE.fullmatch(value) else None
