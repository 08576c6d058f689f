# SPDX-License-Identifier: Apache-2.0
"""Local CAs for tests: with a store in software, a clock that stands still, and a life that can end at
any step."""
import contextlib
import itertools
import uuid
from datetime import datetime, timedelta

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from km.interfaces import IssueRequest, RevokeRequest, SubordinateRequest
from km.plugins.certificate_authority.local_ca.plugin import LocalCa
from km.testing import open_authority

NOW = datetime(2030, 1, 1, 12)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
KEY = ec.generate_private_key(ec.SECP256R1())


class Killed(BaseException):
    """The end of a process."""


class Life:
    """What a process has left: so many steps, each a statement or what a store does."""

    left = None

    def step(self, *_, **__):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed


class MortalStore:
    """A key store whose process may be killed before anything it does, and after it."""

    def __init__(self, store, life):
        self._store, self._life = store, life

    def __getattr__(self, name):
        work = getattr(self._store, name)

        def mortal(*arguments):
            self._life.step()
            done = work(*arguments)
            self._life.step()
            return done

        return mortal


class TimedCa(LocalCa):
    """One whose time is told by a test."""

    time = NOW

    def _now(self):
        return self.time


def a_ca(folder, store, *, time=NOW, **settings):
    """An open Local CA on the database that is in ``folder``."""
    class At(TimedCa):
        pass

    At.time = time
    return open_authority(At, **{
        'key_stores': {'soft': store}, 'connection': f'sqlite:///{folder}/ca.sqlite',
        'key_store': 'soft', 'key_bits': 256, 'lint': False,
        'publication_url': 'http://km.test:9311/pki',
        'subordinate_permitted': ['DNS:{project}.example.org'], **settings})


def killed_at_each_step(life, prepare, work):
    """For every step of ``work`` of what ``prepare`` gives: that, after it was killed at this step.

    It ends when ``work`` comes to its own end.
    """
    listened = [(sa.Engine, 'before_cursor_execute', life.step)]
    for number in itertools.count():
        prepared = prepare()
        with contextlib.ExitStack() as stack:
            for target, event, heard in listened:
                sa.event.listen(target, event, heard)
                stack.callback(sa.event.remove, target, event, heard)
            stack.callback(setattr, life, 'left', None)
            life.left = number
            try:
                work(prepared)
            except Killed:
                pass
            else:
                assert number > 0
                return
        yield prepared


def a_request(*names, key=KEY):
    """A CSR, DER."""
    return x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(
        x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False).sign(
        key, hashes.SHA256()).public_bytes(Encoding.DER)


def an_order(*names, authority='issuing', **fields):
    return IssueRequest(**{
        'order_id': str(uuid.uuid4()), 'project_id': 'alpha', 'authority': authority,
        'csr': a_request(*names or ['www.example.org']), **fields})


def a_revocation(order, issued, reason='superseded', *, at=NOW, **fields):
    return RevokeRequest(authority=order.authority, order_id=order.order_id, reason=reason,
                         certificate=issued.certificate, revoked_at=at, **fields)


def a_subordinate(project_id='alpha', *, subject='CN=Ours,O=Alpha', authority_id=None):
    return SubordinateRequest(
        authority_id=authority_id or str(uuid.uuid4()), project_id=project_id, parent='issuing',
        subject=x509.Name.from_rfc4514_string(subject).public_bytes(), name='ours')


def loaded(der):
    return x509.load_der_x509_certificate(der)


def extension(der, kind):
    return loaded(der).extensions.get_extension_for_class(kind)


def rows(ca, table, **equal):
    """Rows of a table."""
    return ca._database.all(sa.select(table).where(
        *(table.c[name] == value for name, value in equal.items())))


def issuer_id(ca, authority='issuing'):
    """The name in URLs of who signs as an authority now."""
    return ca._signers.current(authority).id
