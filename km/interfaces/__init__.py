# SPDX-License-Identifier: Apache-2.0
"""How to write a plugin for km.

A plugin is a class in a package of yours. It subclasses an interface from this module, imports nothing
else of km, and is found through a setuptools entry point whose group names the interface and its
version. km's own plugins do no more than that, so yours can do whatever they can.

1.  Subclass :class:`SecretStore`, or :class:`EnvelopeStore` (``km.plugins.secret_store.envelope``) if
    all you have is a device that wraps keys. Declare your options with ``oslo.config``::

        class Vault(SecretStore):
            options = (cfg.StrOpt('address', required=True, help='Where the vault listens.'),)

2.  Name it in your ``setup.cfg``::

        [options.entry_points]
        km.secret_store.v1 =
            vault = our_vault.km:Vault

3.  The operator gives it a name and a section in ``km.conf``::

        [secret_store]
        enabled = blue
        default = blue
        [secret_store:blue]
        plugin = vault
        address = vault.example.org

4.  Hold it against the contract: ``km.testing.secret_store.SecretStoreContract`` is a pytest class
    that asks of your plugin what km will ask of it. ``km-manage plugins`` lists what is installed.

**Other kinds** go the same way: :class:`CertificateAuthority`, :class:`ChallengeResponder` and
:class:`Notifier` have groups, sections and contracts of their own (``km.certificate_authority.v1``,
``[certificate_authority:NAME]``, ``km.testing.certificate_authority``). So has :class:`RpcTransport`.
``km.plugins.database`` and ``km.plugins.signer`` are for any of them.

**Life.** The class is instantiated with its settings when km starts; the constructor does no I/O.
``open()`` is called once in the process that will use the plugin, never before a fork; ``check()``
proves that it works; ``close()`` gives everything back. Methods may be called from several threads.

**Errors.** Raise only the errors exported here. Anything else is logged with your plugin's name and
becomes an opaque 500. Never put a payload into a message, a log line or an exception.

**Abilities.** A secret store may be more than it must: subclass :class:`Inventory`,
:class:`KeyGenerator`, :class:`SigningStore`, :class:`MasterKeyRotation` or :class:`ProjectKeyRotation`
as well, and km makes use of it. An authority may be a :class:`SubordinateMaker`, a
:class:`RenewalAdviser` or a :class:`StatusPublisher`, and have :class:`IssuerRotation`.

**Time.** km waits for no call longer than the operator's ``call_timeout_seconds`` and answers without
you; give your own connections shorter deadlines, for a call that never ends keeps its thread.

**v1 stays v1.** One request object goes in, one result comes out. A new field has a default; a new
ability is a new optional interface, never a new abstract method.

Only the standard library is imported here: importing ``km.interfaces`` costs a plugin nothing.
"""
from km.errors import (
    CannotOpen,
    KmError,
    Misconfigured,
    NotFound,
    NotSupported,
    Rejected,
    Unavailable,
)
from km.interfaces.certificate_authority import (
    REVOCATION_REASONS,
    Authority,
    CertificateAuthority,
    Crl,
    CrlRequest,
    Issued,
    IssueRequest,
    IssuerRotation,
    KeyStore,
    OcspAnswer,
    OcspRequest,
    Pending,
    PendingOrder,
    RenewalAdviser,
    RenewalWindow,
    RevokeRequest,
    StatusPublisher,
    SubordinateMaker,
    SubordinateRequest,
)
from km.interfaces.challenge_responder import Challenge, ChallengeResponder
from km.interfaces.key_generator import KeyGenerator, KeyPair, KeyRequest, PairRequest
from km.interfaces.key_rotation import MasterKeyRotation, ProjectKeyRotation
from km.interfaces.notifier import Event, Notifier
from km.interfaces.plugin import Plugin
from km.interfaces.rpc_transport import Handler, RpcTransport
from km.interfaces.secret_store import (
    Inventory,
    Kept,
    Reference,
    SecretStore,
    StoredSecret,
    StoreRequest,
)
from km.interfaces.signing_store import (
    SigningKey,
    SigningKeyRequest,
    SigningStore,
    SignRequest,
)

__all__ = [
    'REVOCATION_REASONS',
    'Authority',
    'CannotOpen',
    'CertificateAuthority',
    'Challenge',
    'ChallengeResponder',
    'Crl',
    'CrlRequest',
    'Event',
    'Handler',
    'Inventory',
    'IssueRequest',
    'Issued',
    'IssuerRotation',
    'Kept',
    'KeyGenerator',
    'KeyPair',
    'KeyRequest',
    'KeyStore',
    'KmError',
    'MasterKeyRotation',
    'Misconfigured',
    'NotFound',
    'NotSupported',
    'Notifier',
    'OcspAnswer',
    'OcspRequest',
    'PairRequest',
    'Pending',
    'PendingOrder',
    'Plugin',
    'ProjectKeyRotation',
    'Reference',
    'Rejected',
    'RenewalAdviser',
    'RenewalWindow',
    'RevokeRequest',
    'RpcTransport',
    'SecretStore',
    'SignRequest',
    'SigningKey',
    'SigningKeyRequest',
    'SigningStore',
    'StatusPublisher',
    'StoreRequest',
    'StoredSecret',
    'SubordinateMaker',
    'SubordinateRequest',
    'Unavailable',
]
