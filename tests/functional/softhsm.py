# SPDX-License-Identifier: Apache-2.0
"""SoftHSM2, a PKCS#11 token in software, in a folder of its own.

Its library reads ``SOFTHSM2_CONF`` from the environment whenever it is initialised.
"""
import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

MODULE = '/usr/lib/softhsm/libsofthsm2.so'
PIN, SO_PIN, LABEL = '7391', '73910000', 'km-test'
_CONF = """\
directories.tokendir = {folder}/tokens
objectstore.backend = file
log.level = ERROR
slots.removable = false
library.reset_on_fork = true
"""


class Token(NamedTuple):
    """A token with a PIN and no key.

    :param environment: what the process that uses it must have in its environment.
    :param folder: what to take away for the token to be lost: ``tokens`` in it.
    """

    module_path: str
    environment: dict[str, str]
    token_label: str
    pin_file: str
    folder: Path

    @property
    def settings(self) -> dict[str, str]:
        """The options of a store that uses it."""
        return {'module_path': self.module_path, 'token_label': self.token_label,
                'pin_file': self.pin_file}


@contextlib.contextmanager
def softhsm(folder: Path, label: str = LABEL):
    """A new token below ``folder``, which this process can use, too, until the end of the block."""
    folder = folder / 'softhsm'
    (folder / 'tokens').mkdir(parents=True)
    conf, pin_file = folder / 'softhsm2.conf', folder / 'pin'
    conf.write_text(_CONF.format(folder=folder))
    pin_file.touch(0o600)
    pin_file.write_text(PIN + '\n')
    token = Token(MODULE, {'SOFTHSM2_CONF': str(conf)}, label, str(pin_file), folder)
    before = os.environ.get('SOFTHSM2_CONF')
    os.environ.update(token.environment)
    try:
        add_token(token, label)
        yield token
    finally:
        os.environ.pop('SOFTHSM2_CONF')
        if before is not None:
            os.environ['SOFTHSM2_CONF'] = before


def add_token(token: Token, label: str) -> None:
    """Put another token beside it."""
    program = shutil.which('softhsm2-util') or '/usr/bin/softhsm2-util'
    subprocess.run([program, '--init-token', '--free', '--label', label, '--so-pin', SO_PIN,
                    '--pin', PIN],
                   env={**os.environ, **token.environment}, check=True, stdout=subprocess.DEVNULL)
