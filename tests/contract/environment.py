# SPDX-License-Identifier: Apache-2.0
"""A new environment for a stranger's package: its wheel, built and installed, beside this km."""
import shutil
import subprocess
import sys
from pathlib import Path


def with_package(package: Path, folder: Path) -> Path:
    """The python of a new environment in ``folder`` with the wheel of a package, and the libraries of
    this one. The package is copied first: a build leaves files behind."""
    shutil.copytree(package, folder / 'source', ignore=shutil.ignore_patterns('*.egg-info', 'build'))
    _pip(sys.executable, 'wheel', '--no-deps', '--no-build-isolation', '--wheel-dir', folder / 'dist',
         folder / 'source')
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', folder / 'venv'], check=True)
    python = folder / 'venv' / 'bin' / 'python'
    _pip(python, 'install', '--no-deps', '--no-index', *(folder / 'dist').glob('*.whl'))
    libraries = next((folder / 'venv' / 'lib').glob('python*/site-packages'))
    here = [path for path in sys.path if path.endswith('site-packages')]
    (libraries / 'parent.pth').write_text(
        ''.join(f'import site; site.addsitedir({path!r})\n' for path in here))
    return python


def _pip(python, *arguments):
    subprocess.run([sys.executable, '-m', 'pip', '--quiet', '--disable-pip-version-check',
                    '--python', python, *arguments], check=True)
