# SPDX-License-Identifier: Apache-2.0
"""NSS's software token, which Firefox keeps its keys in: another vendor's habits, without a daemon."""
import subprocess
from pathlib import Path

PIN, LABEL = 'nss-7391', 'NSS Certificate DB'


def nss_token(folder: Path) -> dict[str, str]:
    """The options of a store that uses a new token below ``folder``."""
    folder = folder / 'nss'
    folder.mkdir()
    pin_file = folder / 'pin'
    pin_file.touch(0o600)
    pin_file.write_text(PIN + '\n')
    subprocess.run(['certutil', '-N', '-d', f'sql:{folder}', '-f', pin_file], check=True)
    return {'module_path': _library(), 'token_label': LABEL, 'pin_file': str(pin_file),
            'initialisation_string': f"configdir='sql:{folder}' certPrefix='' keyPrefix='' "
                                     "secmod='secmod.db' flags="}


def _library() -> str:
    places = [*Path('/usr/lib').glob('*/libsoftokn3.so'), *Path('/usr/lib').glob('*/nss/libsoftokn3.so')]
    return str(places[0])
