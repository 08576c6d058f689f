# SPDX-License-Identifier: Apache-2.0
"""PKCS#11: the store whose master keys are objects of a token, such as an HSM, that never leave it.

Project keys are sealed and opened by the token; what they seal is sealed here, as in any envelope store.
"""
import contextlib
import functools
import logging
import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from oslo_config import cfg, types

from km.interfaces import (
    CannotOpen,
    KmError,
    MasterKeyRotation,
    Misconfigured,
    NotFound,
    NotSupported,
    Reference,
    Rejected,
    SigningKey,
    SigningKeyRequest,
    SigningStore,
    SignRequest,
    StoredSecret,
    Unavailable,
)
from km.plugins.secret_store.cryptoki import payloads, signing, suites
from km.plugins.secret_store.cryptoki.failures import Failed, Kind
from km.plugins.secret_store.cryptoki.master_keys import Described, MasterKeys, NoMasterKey
from km.plugins.secret_store.cryptoki.sessions import Lease
from km.plugins.secret_store.cryptoki.token import Token
from km.plugins.secret_store.envelope import EnvelopeStore, WrappedKey

LOG = logging.getLogger(__name__)

Something = TypeVar('Something')

_OPTIONS = (
    cfg.StrOpt('module_path', required=True,
               help="The vendor's PKCS#11 library, such as /usr/lib/softhsm/libsofthsm2.so."),
    cfg.StrOpt('initialisation_string',
               help='Given to the library when it starts, for those that want it, such as NSS.'),
    cfg.StrOpt('token_label', help='Label of the token.'),
    cfg.StrOpt('token_serial',
               help='Its serial number, if the label is not enough to tell it from others.'),
    cfg.IntOpt('slot_id', min=0,
               help='Its slot, if nothing else tells it from others; with many libraries it changes.'),
    cfg.StrOpt('pin_file',
               help="File with the user's PIN, mode 0400. Without pin_file and pin the PIN is entered "
                    'on the token, if that has a way.'),
    cfg.StrOpt('pin', secret=True, help="The user's PIN itself; better use pin_file."),
    cfg.BoolOpt('login_after_failed_try', default=True,
                help='Whether to log in although the token says that a wrong PIN was given since the '
                     'last login. Each process tries a PIN once, and none tries the last time before '
                     'the token locks. With false, the first one that is refused keeps the others from '
                     'trying, too; then log in once with another tool when the PIN is right.'),
    cfg.StrOpt('master_key_label', default='km-master',
               help='CKA_LABEL of the master keys. "km-manage hsm init" makes the first.'),
    cfg.ListOpt('wrap_suites', item_type=types.String(choices=list(suites.SUITES)),
                default=list(suites.SUITES),
                help='How master keys may seal project keys, the best first: the first that works is '
                     'used. What was sealed by any other can be opened all the same.'),
    cfg.IntOpt('sessions', default=4, min=1,
               help='How many sessions with the token a process uses at once. It has one more, which '
                    'is logged in, and the admin commands have two. Processes times these must fit the '
                    'token.'),
    cfg.IntOpt('session_timeout_seconds', default=5, min=1,
               help='How long a call waits for one of them. Let it be less than call_timeout_seconds.'),
    cfg.BoolOpt('payloads_in_token', default=False,
                help='Whether payloads, too, are sealed and opened in the token, by CKM_AES_GCM, and '
                     'not only the keys of projects. That is slower, and for those who must have it '
                     'so; what is kept is the same, and the option can be changed at any time. The '
                     'token must take AES keys as objects of a session.'),
    cfg.BoolOpt('reload_for_new_keys', default=False,
                help='Whether the library must be started anew to see objects that another process '
                     'made, as that of nShield must. Then km does so when it meets a key it does not '
                     'know.'),
)


_SIGNING = 'signing_key'
_REFERENCE = re.compile(r'[0-9a-f]{40}\Z')
_MAKES_NONE = NotSupported('This token makes no such signing keys.')
#: What an error means if the token is not to blame.
_NOT_THE_TOKEN = (Kind.INTEGRITY, Kind.CALLER, Kind.SUSPECT)


class Pkcs11(EnvelopeStore, MasterKeyRotation, SigningStore):
    """Master keys, and keys that sign, in a PKCS#11 token (v2.40 or 3.x)."""

    options = (*EnvelopeStore.options, *_OPTIONS)

    def open(self) -> None:
        self.open_token()
        try:
            with self._asking():
                self._token.run(lambda lease: self._masters.suite(self._masters.newest(lease)))
                if self.settings.payloads_in_token:
                    self._seal_payloads_there()
            super().open()
        except BaseException:
            self.close_token()
            raise

    def close(self) -> None:
        super().close()
        self.close_token()

    def open_token(self) -> None:
        """Log in to the token and do no more; it need have no master key yet.

        :raises Misconfigured, Unavailable: as ``open``.
        """
        settings = self.settings
        if (settings.token_label, settings.token_serial, settings.slot_id) == (None, None, None):
            raise Misconfigured(f'[secret_store:{self.name}] token_label or token_serial is required.')
        self._masters = MasterKeys(settings.master_key_label, settings.wrap_suites)
        self._token = Token(settings, self._masters.known_answer)
        with self._asking():
            self._token.open()

    def close_token(self) -> None:
        """Log out, if no other store is logged in to the token."""
        self._token.close()

    def wrap(self, key: bytes, context: bytes) -> WrappedKey:
        def sealed(lease: Lease) -> WrappedKey:
            master = self._masters.newest(lease)
            return WrappedKey(key_id=master.name, data=suites.seal(
                self._masters.suite(master), master, key, context))
        with self._asking():
            return self._token.run(sealed)

    def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        def opened(lease: Lease) -> bytes:
            return suites.unseal(self._masters.named(lease, wrapped.key_id), wrapped.data, context)
        with self._asking(refused=CannotOpen(
                f'Master key {wrapped.key_id} does not open this project key, or is not on the token.')):
            return self._with_new_keys(opened)

    def new_master_key(self) -> str:
        with self._asking():
            return self._token.run_alone(self._masters.make)

    def master_keys(self) -> list[str]:
        """The names of all master keys on the token, the newest first.

        :raises Unavailable: not now.
        """
        with self._asking():
            return self._token.run(self._masters.names)

    def describe(self) -> tuple[list[str], list[Described]]:
        """Lines about module and token; and its master keys, the newest first.

        :raises Unavailable: not now.
        """
        with self._asking():
            return self._token.run(
                lambda lease: (self._token.describe(), self._masters.describe(lease)))

    def generate_signing_key(self, request: SigningKeyRequest) -> SigningKey:
        with self._asking(refused=_MAKES_NONE):
            made = self._token.run_alone(lambda lease: signing.generate(
                lease, algorithm=request.algorithm, bit_length=request.bit_length,
                project_id=request.project_id, key_id=request.key_id))
        return SigningKey(reference={_SIGNING: made.reference}, public_key=made.public_key)

    def sign(self, request: SignRequest) -> bytes:
        key, scheme = request.key, request.scheme
        with self._asking(refused=NotSupported(f'This key or its token does not sign by {scheme[:40]}.'),
                          altered=CannotOpen('The signing key is not that of its owner.')):
            return self._token.run(self._or_lost(lambda lease: signing.sign(
                lease, _signing_key(key), project_id=key.project_id, key_id=key.secret_id, scheme=scheme,
                data=request.data)))

    def delete(self, stored: StoredSecret) -> None:
        if _SIGNING not in stored.reference:
            return super().delete(stored)
        with self._asking():
            return self._token.run_alone(lambda lease: signing.destroy(
                lease, _signing_key(stored), key_id=stored.secret_id))

    def find(self, secret_id: str) -> Reference | None:
        found = super().find(secret_id)
        if found is None:
            with self._asking(), contextlib.suppress(signing.NoSigningKey):
                found = {_SIGNING: self._token.run(self._or_lost(
                    lambda lease: signing.find(lease, secret_id)))}
        return found

    def _or_lost(self, work: Callable[[Lease], Something]) -> Callable[[Lease], Something]:
        """The same ``work``, which believes that there is no key only of a token with its master keys:
        one that is lost has no keys either."""
        def done(lease: Lease) -> Something:
            try:
                return work(lease)
            except signing.NoSigningKey:
                self._masters.known_answer(lease)
                raise
        return done

    def _seal_payloads_there(self) -> None:
        if not self._token.run(payloads.works):
            raise Misconfigured('payloads_in_token: the token does not seal with keys that it is given, '
                                'or not by CKM_AES_GCM.')
        self._cipher = functools.partial(payloads.TokenGcm, self._seal_there, self._unseal_there)

    def _seal_there(self, work: Callable[[Lease], bytes]) -> bytes:
        with self._asking(refused=Rejected(
                'The token does not seal this payload; it may be too long for it.')):
            return self._token.run(work)

    def _unseal_there(self, work: Callable[[Lease], bytes]) -> bytes:
        with self._asking(refused=CannotOpen(
                'The stored secret does not open: it was altered, or is not its own.')):
            return self._token.run(work)

    def _with_new_keys(self, work: Callable[[Lease], Something]) -> Something:
        """Do ``work``, if need be after the module was let see what it has not seen yet."""
        try:
            return self._token.run(work)
        except NoMasterKey:
            if not self.settings.reload_for_new_keys:
                raise
        self._token.reload()
        return self._token.run(work)

    @contextlib.contextmanager
    def _asking(self, *, refused: KmError | None = None, altered: KmError | None = None
                ) -> Iterator[None]:
        """Make errors those of km, with this store's name.

        :param refused: what to raise if the token works, and does not do what was asked.
        :param altered: what to raise if it is because the data are not right, if that is something else.
        """
        told = f'[secret_store:{self.name}]'
        try:
            yield
        except NoMasterKey:
            raise refused or Misconfigured(
                f"{told} master_key_label: the token has no key '{self.settings.master_key_label}'; "
                f'make the first with "km-manage hsm init {self.name}".') from None
        except signing.NoSigningKey:
            raise NotFound('There is no such signing key.') from None
        except signing.NoSuchScheme:
            raise refused or _MAKES_NONE from None
        except Failed as failed:
            LOG.warning('%s %s.', told, failed)
            if refused and failed.kind in _NOT_THE_TOKEN:
                raise (altered if altered and failed.kind is Kind.INTEGRITY else refused) from None
            raise Unavailable(f'{told} {failed}.') from None
        except (Misconfigured, Unavailable) as error:
            raise type(error)(f'{told} {error.sentence}') from None


def _signing_key(stored: StoredSecret) -> str:
    reference = stored.reference.get(_SIGNING)
    if not isinstance(reference, str) or not _REFERENCE.match(reference):
        raise NotFound('The reference is not that of a signing key.')
    return reference
