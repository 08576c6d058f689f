# SPDX-License-Identifier: Apache-2.0
"""``openstack certificate save``: a certificate and its private key, as files."""
import os
import secrets
import stat
from argparse import Namespace
from pathlib import Path

from osc_lib.command import command
from osc_lib.exceptions import CommandError

from km.client.certificate_service import CertificateService
from km.client.certificates import add_certificate

#: Of each option: what is kept, what a person calls it, and who may read the file, but for the umask.
_FILES = {'certificate_file': ('certificate', 'certificate', 0o666),
          'chain': ('intermediates', 'chain', 0o666),
          'key': ('private_key', 'private key', 0o600)}


class SaveCertificate(command.Command):
    """Write a certificate, its chain and its private key to files, in PEM.

    Only its owner may read the file of the key. A key that is kept with a passphrase stays encrypted.
    """

    def get_parser(self, prog_name):
        parser = add_certificate(super().get_parser(prog_name))
        parser.add_argument('--certificate', metavar='<file>', dest='certificate_file', type=Path,
                            help='Where to write the certificate')
        parser.add_argument('--chain', metavar='<file>', type=Path,
                            help='Where to write those above it, its issuer first')
        parser.add_argument('--key', metavar='<file>', type=Path,
                            help='Where to write its private key')
        parser.add_argument('--force', action='store_true', help='Replace files that are there')
        return parser

    def take_action(self, parsed_args):
        paths = _paths(parsed_args)
        service = CertificateService.of(self.app.client_manager)
        refs = service.certificate(parsed_args.certificate)['secret_refs']
        for option in paths:
            kept, called, _ = _FILES[option]
            if kept not in refs:
                raise CommandError(f'The key manager has no {called} of this certificate.')
        # All is there before the first file is.
        contents = {option: service.payload(refs[_FILES[option][0]]) for option in paths}
        for option, path in paths.items():
            write(path, contents[option], mode=_FILES[option][2], force=parsed_args.force)


def write(path: Path, content: bytes, *, mode: int, force: bool = False) -> None:
    """Write a file; what is there of it is removed again if that fails.

    :param mode: who may read it from its first byte on; the umask takes from that.
    :param force: replace a plain file that is there.
    :raises CommandError: something is there, or the file cannot be written.
    """
    new = path.with_name(f'.{path.name}.{secrets.token_hex(8)}') if force else path
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, 'wb') as file:
                file.write(content)
            if force:
                new.replace(path)
        except BaseException:
            new.unlink()
            raise
    except OSError as error:
        raise CommandError(f"'{path}' cannot be written: {error.strerror}.") from None


def _paths(asked: Namespace) -> dict[str, Path]:
    """The files that are asked for.

    :raises CommandError: there are none, or two are the same; or something is there already.
    """
    paths = {option: path for option in _FILES if (path := getattr(asked, option)) is not None}
    if not paths:
        raise CommandError('Name a file: --certificate, --chain, --key.')
    if len({path.absolute() for path in paths.values()}) < len(paths):
        raise CommandError('Each file needs a name of its own.')
    for path in paths.values():
        _require_free(path, force=asked.force)
    return paths


def _require_free(path: Path, *, force: bool) -> None:
    try:
        found = path.lstat().st_mode
    except OSError:  # it is not there, or writing it says what is wrong
        return
    if not force:
        raise CommandError(f"'{path}' is there already; --force replaces it.")
    # What is written through a link or into a device is not a file with the mode of a key.
    if not stat.S_ISREG(found):
        raise CommandError(f"'{path}' is not a plain file.")
