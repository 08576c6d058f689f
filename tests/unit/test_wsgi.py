# SPDX-License-Identifier: Apache-2.0
"""``km.wsgi:application``, as WSGI servers take it."""
import subprocess
import sys

from km.conf.load import load
from km.deploy import database
from km.testing.application import write_conf

SCRIPT = """
import km.wsgi
from webob import Request
print(Request.blank('/').get_response(vars(km.wsgi)['application']).status)  # as uWSGI looks it up
"""


def served(conf):
    return subprocess.run([sys.executable, '-c', SCRIPT], env={'KM_CONF': str(conf)},
                          capture_output=True, text=True)


def test_a_server_gets_the_application_that_the_named_file_describes(folder):
    conf = write_conf(folder)
    database(load(files=[str(conf)])).upgrade()
    ran = served(conf)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == '300 Multiple Choices'


def test_a_server_does_not_get_one_that_cannot_work(folder):
    ran = served(write_conf(folder))
    assert ran.returncode != 0
    assert 'Run "km-manage db upgrade".' in ran.stdout + ran.stderr
