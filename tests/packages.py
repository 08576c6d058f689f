# SPDX-License-Identifier: Apache-2.0
"""Installs the Debian packages of bindep.txt's profile ``test``, or says which to install."""
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
BINDEP = [str(Path(sys.executable).with_name('bindep')), '--brief', 'test']
#: Debian asks this program whether a package may start its service; 101 is no.
POLICY = Path('/usr/sbin/policy-rc.d')


def missing() -> list[str]:
    """Names of the packages that are not there."""
    asked = subprocess.run(BINDEP, cwd=ROOT, capture_output=True, text=True, check=False)
    return asked.stdout.split() if asked.returncode else []


@contextlib.contextmanager
def starting_nothing() -> Iterator[None]:
    """While the block lasts, no package starts its service: the tests start their own servers."""
    if POLICY.exists():  # the machine's own policy is not ours to change
        yield
        return
    POLICY.write_text('#!/bin/sh\nexit 101\n')
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def install(packages: list[str]) -> None:
    """Install Debian packages, as root; whether it worked is for ``missing`` to see."""
    environment = {**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'}
    subprocess.run(['apt-get', 'update', '--quiet=2'], check=False)
    with starting_nothing():
        subprocess.run(['apt-get', 'install', '--quiet=2', '--yes', '--no-install-recommends',
                        *packages], check=False, env=environment)


def main() -> int:
    """The exit status: 0 if every package is there in the end."""
    wanted = missing()
    if wanted and os.geteuid() == 0:
        install(wanted)
        wanted = missing()
    if wanted:
        print(f'The tests need Debian packages: sudo apt-get install {" ".join(wanted)}',
              file=sys.stderr)
    return int(bool(wanted))


if __name__ == '__main__':
    sys.exit(main())
