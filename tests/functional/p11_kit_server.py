# SPDX-License-Identifier: Apache-2.0
"""A token behind a socket, as a network HSM is: p11-kit's server, which can be killed."""
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

_START_SECONDS = 10.0


class RemoteToken:
    """A token of a module of this machine, reached through ``module_path``.

    :param environment: what the process that uses it must have in its environment.
    """

    def __init__(self, folder: Path, module: str, label: str):
        self._socket, self._module, self._label = folder / 'p11', module, label
        self.module_path = str(next(Path('/usr/lib').glob('*/pkcs11/p11-kit-client.so')))
        self.environment = {'P11_KIT_SERVER_ADDRESS': f'unix:path={self._socket}'}

    def start(self) -> None:
        """Serve, from now on."""
        self._socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [shutil.which('p11-kit') or '/usr/bin/p11-kit', 'server', '-f', '-n', self._socket,
             '--provider', self._module, f'pkcs11:token={self._label}'],
            stdout=subprocess.DEVNULL, start_new_session=True)
        ended = time.monotonic() + _START_SECONDS
        while not self._socket.exists():
            assert time.monotonic() < ended, 'p11-kit server does not start'
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill it, and the child it has for each client."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextlib.contextmanager
def remote(module: str, label: str):
    """A served token, until the end of the block."""
    with tempfile.TemporaryDirectory(prefix='km-p11-') as folder:
        token = RemoteToken(Path(folder), module, label)
        os.environ.update(token.environment)
        try:
            token.start()
            yield token
        finally:
            token.kill()
            for name in token.environment:
                del os.environ[name]
