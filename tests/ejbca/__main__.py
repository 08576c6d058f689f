# SPDX-License-Identifier: Apache-2.0
"""Run the stand-in: ``python -m tests.ejbca --folder FOLDER --port PORT --control-port PORT``.

The folder has ``server.pem`` and ``server.key``, by which it is known, and ``ca.pem``, which vouches for
its clients.
"""
import argparse
import contextlib
import threading
from pathlib import Path

from tests.ejbca.control import Control
from tests.ejbca.server import Server
from tests.ejbca.world import World


def main():
    parser = argparse.ArgumentParser(prog='python -m tests.ejbca', description=__doc__)
    parser.add_argument('--folder', type=Path, required=True)
    parser.add_argument('--port', type=int, required=True)
    parser.add_argument('--control-port', type=int, required=True)
    told = parser.parse_args()
    server = Server(told.port, World(), told.folder)
    control = Control(told.control_port, server)
    threading.Thread(target=control.serve_forever, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever(poll_interval=0.05)


if __name__ == '__main__':
    main()
