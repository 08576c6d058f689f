# SPDX-License-Identifier: Apache-2.0
"""``km.wsgi:application``, for any WSGI server.

The file ``$KM_CONF`` names, or km.conf in the usual places, is read when the server asks for the
attribute. Let each process of the server do that after it was forked (gunicorn without --preload,
uwsgi with lazy-apps): connections and threads do not survive a fork.
"""
from km.conf.load import load
from km.deploy import Deployment, start_logging


def __getattr__(name: str):
    if name != 'application':
        raise AttributeError(name)
    conf = load()
    start_logging(conf)
    deployment = Deployment(conf)
    deployment.start()
    globals()[name] = deployment.application
    return deployment.application
