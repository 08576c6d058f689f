# SPDX-License-Identifier: Apache-2.0
"""``km-status upgrade check``: would this km start with what is here?

Exit status 0: yes; 1: yes, but look at the warnings; 2: no. ``--json`` is for programs.
"""
import functools
import os
import stat
import sys
from collections.abc import Callable, Sequence

from oslo_config import cfg
from oslo_upgradecheck import common_checks, upgradecheck
from oslo_upgradecheck.upgradecheck import Code, Result

from km import registry
from km.acl.decision import Policy
from km.conf import load
from km.deploy import database
from km.errors import KmError
from km.plugins.secret_store import key_file, key_ring


def _checked(check: Callable) -> Callable:
    """A check that fails with the sentence of km's error."""
    @functools.wraps(check)
    def checked(self: 'Checks') -> Result:
        try:
            return check(self) or Result(Code.SUCCESS)
        except KmError as error:
            return Result(Code.FAILURE, error.sentence)

    return checked


class Checks(upgradecheck.UpgradeCommands):
    """What ``upgrade check`` looks at. A check returns a result, or None where all is well."""

    def __init__(self, conf: cfg.ConfigOpts):
        self._conf = conf

    @_checked
    def _database(self) -> None:
        metadata = database(self._conf)
        try:
            metadata.require_schema()
        finally:
            metadata.close()

    @_checked
    def _policy(self) -> Result:
        found = common_checks.check_policy_json(self, self._conf)
        if found.code is Code.SUCCESS and (unused := Policy(self._conf).unused()):
            return Result(Code.WARNING, f'No rule of km is named, or refers to, {", ".join(unused)}.')
        return found

    @_checked
    def _plugins(self) -> Result | None:
        failures = [state.sentence for _, state in registry.Registry(self._conf).tried()
                    if isinstance(state, KmError)]
        return Result(Code.FAILURE, ' '.join(failures)) if failures else None

    @_checked
    def _key_files(self) -> None:
        for store in registry.Registry(self._conf).secret_stores.values():
            for path in getattr(store.guest.settings, 'kek_file', ()):
                key_ring.read(path)
        for path in self._conf.worker.seal_key_file:
            key_file.read(path, key_file.SEAL_KEY)

    @_checked
    def _configuration_files(self) -> Result | None:
        loose = [path for path in self._conf.config_file if os.stat(path).st_mode & stat.S_IRWXO]
        if not loose:
            return None
        return Result(Code.WARNING, f'Everybody may read or write {", ".join(loose)}, where '
                                    'passwords are: set the mode to 0640.')

    _upgrade_checks = (
        ('Database schema', _database),
        ('Policy file', _policy),
        ('Plugins', _plugins),
        ('Key files', _key_files),
        ('Configuration files', _configuration_files),
    )


def main() -> None:
    """``km-status [--config-file FILE] upgrade check [--json]``"""
    sys.exit(command(sys.argv[1:]))


def command(arguments: Sequence[str]) -> int:
    """The exit status for a command line; what is wrong with the configuration itself is said in a
    line, and is a failure too."""
    conf = load.new()
    upgradecheck.register_cli_options(conf, Checks(conf))
    try:
        load.read(conf, arguments, program='km-status')
    except KmError as error:
        print(f'km: {error.sentence}', file=sys.stderr)
        return Code.FAILURE
    upgradecheck.CONF = conf  # where oslo.upgradecheck looks for --json
    return upgradecheck.run(conf)
