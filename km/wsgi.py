# SPDX-License-Identifier: Apache-2.0
"""``km.wsgi:application``, for any WSGI server; ``etc/km`` has examples for uWSGI and gunicorn.

The file ``$KM_CONF`` names, or km.conf in the usual places, is read when this module is imported, for
uWSGI and mod_wsgi take only what a module has then. Let each process of the server import it after it
was forked (gunicorn without --preload, uwsgi with lazy-apps): connections and threads do not survive a
fork.
"""
import atexit

from km.conf.load import load
from km.deploy import Deployment, start_logging


def _deployment() -> Deployment:
    conf = load()
    start_logging(conf)
    deployment = Deployment(conf)
    deployment.start()
    atexit.register(deployment.close)
    return deployment


application = _deployment().application
