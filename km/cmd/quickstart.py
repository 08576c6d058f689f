# SPDX-License-Identifier: Apache-2.0
"""``km-quickstart FOLDER``: a whole km on this machine, with nothing to install or set up beside it.

The folder gets a km.conf, a key file, databases, a certificate authority, a user ``admin`` with a random
password, and an ``openrc`` for the stock clients. A second start finds them there and uses them.
"""
import argparse
import os
import secrets
import shlex
import sys
from pathlib import Path

import bcrypt

from km.cmd import api, run
from km.conf.load import load
from km.deploy import database
from km.errors import Misconfigured
from km.plugins.secret_store import key_file

_USER = 'admin'
# The password is random and long, so its hash need not be slow to be safe.
_BCRYPT_ROUNDS = 5

#: In a URL or a list of oslo.config these mean something else.
_CANNOT_STAND_IN_CONF = frozenset('?,$\n')

_CONF = """\
# Written by km-quickstart. etc/km/km.conf.sample explains every option.
[api]
auth_strategy = http_basic
http_basic_user_file = {folder}/users
host_href = {url}
bind_port = {port}

[database]
connection = sqlite:///{folder}/km.sqlite

[secret_store]
enabled = soft
default = soft

[secret_store:soft]
plugin = simple_crypto
kek_file = {folder}/kek
connection = sqlite:///{folder}/soft.sqlite

[certificate_authority]
enabled = local

[certificate_authority:local]
plugin = local_ca
key_store = soft
connection = sqlite:///{folder}/ca.sqlite
publication_url = {url}/pki
"""

_OPENRC = """\
# Source this, and the stock clients reach the km of this folder.
for _os in $(env | sed -n 's/^\\(OS_[A-Z0-9_]*\\)=.*/\\1/p'); do unset "$_os"; done; unset _os
export OS_AUTH_TYPE=http_basic
export OS_ENDPOINT={url}/v1
export OS_USERNAME={user}
export OS_PASSWORD={password}
"""

_WELCOME = """\
km answers on {url}. In another shell, paste:

    . {openrc}
    openstack secret store -n demo -p 'my first secret'
    openstack secret list

(The client: pip install python-openstackclient python-barbicanclient.) Ctrl-C ends km.
"""


def prepare(folder: Path, *, port: int) -> Path:
    """Fill ``folder`` with what is not there yet.

    :returns: the path of the km.conf.
    :raises Misconfigured: the folder cannot be written to, or its name cannot stand in a km.conf.
    """
    if _CANNOT_STAND_IN_CONF & set(str(folder)):
        raise Misconfigured(f'{folder}: choose a folder without any of ? , $ in its path.')
    conf = folder / 'km.conf'
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        if not (folder / 'kek').exists():
            key_file.create(str(folder / 'kek'))
        url = f'http://127.0.0.1:{port}'
        _write(folder / 'openrc', _OPENRC.format(url=url, user=_USER, password=_password(folder)))
        _write(conf, _CONF.format(folder=folder, url=url, port=port))
    except OSError as error:
        raise Misconfigured(f'{error.filename or folder} cannot be written: '
                            f'{error.strerror}.') from None
    return conf


def main() -> None:
    """``km-quickstart [--port PORT] [FOLDER]``"""
    parser = argparse.ArgumentParser(prog='km-quickstart', description=__doc__)
    parser.add_argument('folder', nargs='?', default='.quickstart', type=Path)
    parser.add_argument('--port', type=int, default=9311)
    asked = parser.parse_args()
    sys.exit(run(lambda: _serve(asked.folder.absolute(), asked.port)))


def _serve(folder: Path, port: int) -> None:
    conf = load(files=[str(prepare(folder, port=port))])
    metadata = database(conf)
    metadata.upgrade()
    metadata.close()
    bound = api.listener(conf)
    print(_WELCOME.format(url=conf.api.host_href, openrc=shlex.quote(f'{folder}/openrc')), flush=True)
    api.serve(conf, bound)


def _password(folder: Path) -> str:
    """The password of the folder's user, who is made if there is none."""
    path = folder / 'password'
    if not path.exists():
        password = secrets.token_urlsafe(32)
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(_BCRYPT_ROUNDS)).decode()
        _write(folder / 'users', f'{_USER}:{hashed}\n')
        _write(path, password)  # last: its being there says that both are
    return path.read_text(encoding='utf-8')


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, 'w', encoding='utf-8') as file:
        file.write(text)
