# SPDX-License-Identifier: Apache-2.0
"""A certificate authority in memory with abilities that ``MemoryAuthority`` has not, and its host."""
from datetime import timedelta

from km.hosting.authority import HostedAuthority
from km.interfaces import (
    Authority,
    Crl,
    NotFound,
    OcspAnswer,
    StatusPublisher,
    SubordinateMaker,
)
from km.testing import MemoryAuthority, open_authority
from km.testing.memory_authority import new_issuer


class FullAuthority(MemoryAuthority, SubordinateMaker, StatusPublisher):
    """Has subordinates, and publishes; what it publishes says which time it is for.

    ``fail`` maps (method, 'before' or 'after') to an exception; ``made`` has the requests of its
    subordinates, by id; ``asked`` the calls for what it publishes, in order.
    """

    def open(self):
        super().open()
        self.fail, self.made, self.asked, self.holds = {}, {}, [], timedelta(hours=1)

    def authorities(self):
        self._perhaps('authorities', 'before')
        return super().authorities()

    def make_subordinate(self, request):
        self._perhaps('make_subordinate', 'before')
        issuers = self.memory.issuers
        if request.authority_id not in issuers:
            self.made[request.authority_id] = request
            issuers[request.authority_id] = new_issuer(request.name, above=issuers[request.parent])
        made = issuers[request.authority_id]
        self._perhaps('make_subordinate', 'after')
        return Authority(name=request.authority_id, certificate=made.der, chain=made.chain)

    def remove_subordinate(self, authority_id):
        self._perhaps('remove_subordinate', 'before')
        self.memory.issuers.pop(authority_id, None)
        self._perhaps('remove_subordinate', 'after')

    def issuer_certificate(self, issuer):
        return self._published('certificate', issuer).der

    def crl(self, request):
        self._published('delta' if request.delta else 'crl', request.issuer)
        now = self.memory.clock()
        return Crl(content=f'{"delta" if request.delta else "crl"} of {now}'.encode(), number=1,
                   this_update=now.replace(microsecond=0), next_update=now + self.holds)

    def ocsp(self, request):
        self._published('ocsp', request.issuer)
        now, told = self.memory.clock(), None
        if b'nonce' not in request.content:
            told = now + self.holds
        return OcspAnswer(content=request.content + f' at {now}'.encode(), next_update=told)

    def publish(self):
        return {}

    def _published(self, what, issuer):
        self.asked.append((what, issuer))
        self._perhaps(what, 'before')
        if issuer not in self.memory.issuers:
            raise NotFound('There is no such issuer.')
        return self.memory.issuers[issuer]

    def _perhaps(self, *step):
        if step in self.fail:
            raise self.fail[step]


class SameThread(HostedAuthority):
    """An authority that is called right here, so that a process can end inside it."""

    def _call(self, method, *arguments, **named):
        return getattr(self.guest, method)(*arguments, **named)


def hosted(name='memory', plugin=FullAuthority, **settings):
    """An open authority of that name, as the house has it."""
    guest = open_authority(plugin, **settings)
    guest.name = name
    return SameThread(guest)
