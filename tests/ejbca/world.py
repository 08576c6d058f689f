# SPDX-License-Identifier: Apache-2.0
"""All that the stand-in knows: in memory, and forgotten when a test says so."""
import threading
from dataclasses import dataclass, field

from tests.ejbca import profiles
from tests.ejbca.pki import Authority
from tests.ejbca.refusals import Refusal, Waiting

#: What a test may set, and how it is otherwise.
SETTINGS = {
    'enterprise': True,             # or it is a Community Edition
    'protocol_on': True,            # whether the REST protocol is on
    'newer': True,                  # whether it knows the fields of newer versions
    'tells_request_id': True,       # in an answer 202, or only a link
    'unique_keys': False,           # whether no two end entities may have one key,
    'unique_subjects': False,       # or one subject
    'approve_entities': False,
    'approve_revocations': False,
    'takes_invalidity_date': True,
    'misissue': '',                 # key, name, common_name: what goes wrong with a certificate
    'token_seconds': 300,
    'shown_authorities': ['km Root CA', 'km Sub CA'],
}


@dataclass
class Entity:
    """An end entity: whoever has certificates."""

    username: str
    password: str
    subject: object
    alternatives: list
    authority: Authority
    certificate_profile: object
    profile: object
    status: str = 'NEW'
    ends: object = None


@dataclass
class Kept:
    """A certificate that was issued."""

    certificate: object
    username: str
    authority: Authority
    certificate_profile: object
    profile: object
    reason: str | None = None
    revoked_at: object = None
    invalid_since: object = None


@dataclass
class Approval:
    """Something that people have to approve."""

    number: int
    about: str
    do: object = field(repr=False)
    status: str = 'WAITING'


class World:
    """The state, under one lock: one thing happens at a time."""

    def __init__(self):
        self.lock = threading.RLock()
        root = Authority('km Root CA', 1001, organization='Tests, Inc. & Söhne #1?')
        sub = Authority('km Sub CA', 1002, parent=root, organization='Tests, Inc. & Söhne #1?')
        self.authorities = {one.name: one for one in (root, sub)}
        self.reset({})

    def reset(self, settings):
        with self.lock:
            self.settings = dict(SETTINGS)
            self.set(settings)
            self.entities, self.certificates, self.approvals = {}, [], {}
            self.calls, self.faults = [], []
            self.tokens_given, self.valid_tokens = 0, set()
            for authority in self.authorities.values():
                authority.offline = False

    def set(self, settings):
        for name, value in settings.items():
            if name == 'offline':
                self.authorities[value].offline = True
            elif name == 'online':
                self.authorities[value].offline = False
            else:
                self.settings[name] = type(SETTINGS[name])(value)

    def authority(self, name, status=404):
        try:
            return self.authorities[name]
        except KeyError:
            raise Refusal(status, f'There is no CA {name}.') from None

    def of_subject(self, subject_dn):
        """A CA by its subject as EJBCA spells it."""
        for authority in self.authorities.values():
            if authority.subject_dn == subject_dn:
                return authority
        raise Refusal(404, f'There is no CA of the subject {subject_dn}.')

    def profiles(self, certificate_profile, profile, authority):
        """Two profiles that go together, and with an authority."""
        if certificate_profile not in profiles.CERTIFICATE_PROFILES:
            raise Refusal(404, f'There is no certificate profile {certificate_profile}.')
        if profile not in profiles.ENTITY_PROFILES:
            raise Refusal(404, f'There is no end entity profile {profile}.')
        found = profiles.ENTITY_PROFILES[profile]
        if authority.name not in found.authorities:
            raise Refusal(422, 'The end entity profile does not allow this CA.')
        if certificate_profile not in found.certificate_profiles:
            raise Refusal(422, 'The end entity profile does not allow this certificate profile.')
        return profiles.CERTIFICATE_PROFILES[certificate_profile], found

    def ask_people(self, about, do):
        """Have people approve something, of which they are asked only once."""
        if any(one.about == about and one.status == 'WAITING' for one in self.approvals.values()):
            raise Refusal(400, 'There is such a request already.')
        number = 70001 + len(self.approvals)
        self.approvals[number] = Approval(number, about, do)
        raise Waiting(number)

    def decide(self, number, status):
        """What people decided."""
        approval = self.approvals[number]
        approval.status = status
        if status == 'EXECUTED':
            approval.do()
