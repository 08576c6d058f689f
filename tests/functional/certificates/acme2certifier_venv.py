# SPDX-License-Identifier: Apache-2.0
"""An environment of acme2certifier's own: a licence other than ours, so it is run and never imported."""
import subprocess
import sys
from pathlib import Path

#: It changes its ways from one version to the next; what the tests say of it was seen with this one.
_PACKAGES = ('acme2certifier==0.46.3', 'gunicorn>=27,<28')


def acme2certifier_venv(folder: Path) -> Path:
    """The python of a new environment in ``folder`` with acme2certifier, a web server for it, and its
    handler of EJBCA. That takes some seconds, so make one for a whole run."""
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', folder / 'venv'], check=True)
    python = folder / 'venv' / 'bin' / 'python'
    subprocess.run([sys.executable, '-m', 'pip', '--quiet', '--disable-pip-version-check',
                    '--python', python, 'install', *_PACKAGES], check=True)
    return python
