# SPDX-License-Identifier: Apache-2.0
"""``km-manage ca``: the issuing keys of certificate authorities, and an account at one elsewhere."""
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_csr

from km.certificates import certificates
from km.cmd.manage.commands import add as add_command
from km.cmd.manage.commands import group, worker
from km.errors import Misconfigured, NotSupported
from km.hosting.authority import HostedAuthority
from km.interfaces import IssuerRotation
from km.lifecycle.context import Context


def rotate(asked, conf) -> None:
    """Have an authority issue by a new key from now on, under its own root."""
    with worker(conf) as ctx:
        hosted = _hosted(ctx, asked.name)
        print(_rotation(hosted).rotate_issuer(_authority(hosted, asked.authority)))


def request(asked, conf) -> None:
    """Print a request, PEM, for a new issuing certificate, to be signed by an authority elsewhere."""
    with worker(conf) as ctx:
        hosted = _hosted(ctx, asked.name)
        csr = _rotation(hosted).issuer_request(_authority(hosted, asked.authority))
    print(load_der_x509_csr(csr).public_bytes(Encoding.PEM).decode(), end='')


def install(asked, conf) -> None:
    """Have an authority issue by the key of the last request from now on; FILE has the certificate that
    was signed for it, and those above, its issuer first, PEM."""
    certificate, *chain = certificates.from_pem(_read(asked.file))
    with worker(conf) as ctx:
        hosted = _hosted(ctx, asked.name)
        print(_rotation(hosted).install_issuer(
            _authority(hosted, asked.authority), certificate, tuple(chain)))


def roll_over(asked, conf) -> None:
    """Replace the key of km's account at an ACME authority (RFC 8555, 7.3.5)."""
    with worker(conf) as ctx:
        hosted = _hosted(ctx, asked.name)
        if not hasattr(hosted.guest, 'roll_over_account_key'):
            raise NotSupported(f"'{asked.name}' has no account at an authority elsewhere.")
        print(hosted.only('roll_over_account_key').roll_over_account_key())


def _hosted(ctx: Context, name: str) -> HostedAuthority:
    try:
        return ctx.authorities[name]
    except KeyError:
        enabled = ', '.join(ctx.authorities) or 'none'
        raise Misconfigured(f"[certificate_authority] enabled: '{name}' is not among {enabled}."
                            ) from None


def _rotation(hosted: HostedAuthority) -> IssuerRotation:
    rotation = hosted.able(IssuerRotation)
    if rotation is None:
        raise NotSupported(f"The keys of '{hosted.name}' are not replaced from here.")
    return rotation


def _authority(hosted: HostedAuthority, name: str | None) -> str:
    return name or hosted.authorities()[0].name


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == '-' else Path(file).read_bytes()
    except OSError as error:
        raise Misconfigured(f'{file} cannot be read: {error.strerror}.') from None


def add(commands: Any) -> None:
    """Put the commands into the parser."""
    found = group(commands, 'ca', 'certificate authorities')
    rotations: dict[str, Callable[[Any, Any], None]] = {
        'rotate': rotate, 'request': request, 'install': install}
    for name, function in rotations.items():
        parser = add_command(found, name, function)
        parser.add_argument('name', help='of the plugin, among [certificate_authority] enabled')
        parser.add_argument('--authority', help='which of its authorities; the usual one if not said')
        if name == 'install':
            parser.add_argument('file', metavar='FILE', help='- for standard input')
    add_command(found, 'roll-over-account-key', roll_over).add_argument(
        'name', help='of the plugin, among [certificate_authority] enabled')
