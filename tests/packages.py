# SPDX-License-Identifier: Apache-2.0
"""Installs the Debian packages of bindep.txt's profile ``test``, or says which to install."""
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BINDEP = [str(Path(sys.executable).with_name('bindep')), '--brief', 'test']


def missing() -> list[str]:
    """Names of the packages that are not there."""
    asked = subprocess.run(BINDEP, cwd=ROOT, capture_output=True, text=True, check=False)
    return asked.stdout.split() if asked.returncode else []


def main() -> int:
    """The exit status: 0 if every package is there in the end."""
    wanted = missing()
    if wanted and os.geteuid() == 0:
        subprocess.run(['apt-get', 'update', '--quiet=2'], check=False)
        subprocess.run(['apt-get', 'install', '--quiet=2', '--yes', '--no-install-recommends',
                        *wanted], check=False, env={**os.environ,
                                                    'DEBIAN_FRONTEND': 'noninteractive'})
        wanted = missing()
    if wanted:
        print(f'The tests need Debian packages: sudo apt-get install {" ".join(wanted)}',
              file=sys.stderr)
    return int(bool(wanted))


if __name__ == '__main__':
    sys.exit(main())
