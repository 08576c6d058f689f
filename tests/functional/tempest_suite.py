# SPDX-License-Identifier: Apache-2.0
"""Run barbican-tempest-plugin, the public suite of the Key Manager API, against a km."""
import configparser
import importlib.util
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import subunit
import testtools

from tests.functional.keystone_server import DOMAIN, REGION
from tests.functional.km_server import environment

#: The package of all tests of the suite.
ALL = 'barbican_tempest_plugin.tests'
#: What km does not bring along, and the suite must not look for.
ABSENT = ('cinder', 'glance', 'horizon', 'neutron', 'nova', 'swift')
#: A class is one worker's: its tests share what its set-up made.
_BY_CLASS = r'([^\.]*\.)*'
#: How it says that a whole class was skipped.
_CLASS = re.compile(r'setUpClass \(.*\.(\w+)\)\Z')


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    :ivar passed: names of tests.
    :ivar skipped: why, by name of the class if all its tests are, else of the test.
    :ivar failed: tracebacks, by name of a test or a class; a test that never ended is here too.
    """

    passed: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def note(self, test):
        """Take in one test as ``testtools.StreamToDict`` describes it."""
        name, details = test['id'], {key: value.as_text() for key, value in test['details'].items()}
        if test['status'] == 'success':
            self.passed.append(name)
        elif test['status'] == 'skip':
            self.skipped[_CLASS.sub(r'\1', name)] = details.get('reason', '')
        elif test['status'] != 'exists':
            self.failed[name] = details.get('traceback') or '\n'.join(details.values())

    def __str__(self):
        """How many passed, and in full what did not."""
        failures = [f'FAILED {name}\n{why}' for name, why in sorted(self.failed.items())]
        skips = [f'SKIPPED {name}: {why}' for name, why in sorted(self.skipped.items())]
        names = [f'FAILED {name}' for name in sorted(self.failed)]
        counts = f'{len(self.passed)} passed, {len(skips)} skipped, {len(names)} failed'
        return '\n'.join([*failures, *skips, *names, counts])


def run(folder, keystone, *, tests=ALL, secure=True):
    """Run the suite against the key manager of Keystone's catalog; give an ``Outcome``.

    :param folder: where the suite's configuration, results and locks go; nobody else may enter it.
    :param tests: a regular expression that the names of the tests match.
    :param secure: whether km has its secure rules, not its legacy ones, in force.
    """
    conf = _write_conf(folder, keystone, secure)
    suite = Path(importlib.util.find_spec(ALL).origin).parent
    command = [sys.executable, '-m', 'stestr', '--test-path', suite, '--top-dir', suite.parents[1],
               '--group-regex', _BY_CLASS, 'run', '--subunit', '--concurrency', '2', tests]
    with (folder / 'results.subunit').open('w+b') as results:
        subprocess.run(command, cwd=folder, stdout=results, check=False,
                       env=environment(TEMPEST_CONFIG_DIR=str(conf.parent), TEMPEST_CONFIG=conf.name))
        results.seek(0)
        return _read(results)


def _read(results):
    """The ``Outcome`` that a stream of subunit tells of."""
    outcome = Outcome()
    notes = testtools.StreamToDict(outcome.note)
    notes.startTestRun()
    subunit.ByteStreamToStreamResult(results).run(notes)
    notes.stopTestRun()
    return outcome


def _write_conf(folder, keystone, secure):
    """Write tempest.conf into ``folder``, readable by its owner only; give its path.

    The suite makes its own projects and users, of whom it asks Keystone as its admin.
    """
    admin = keystone.user('admin')
    options = configparser.ConfigParser(interpolation=None)
    options.read_dict({
        'auth': {'use_dynamic_credentials': 'true', 'create_isolated_networks': 'false',
                 'admin_username': admin.name, 'admin_password': admin.password,
                 'admin_project_name': admin.project, 'admin_domain_name': DOMAIN.capitalize()},
        'identity': {'uri_v3': keystone.auth_url, 'auth_version': 'v3', 'region': REGION},
        'service_available': {'barbican': 'true'} | dict.fromkeys(ABSENT, 'false'),
        'key_manager': {'region': REGION, 'min_microversion': '1.0', 'max_microversion': '1.2'},
        'barbican_tempest': {'enable_multiple_secret_stores': 'true'},
        'enforce_scope': {'barbican': str(secure).lower()},
        'oslo_concurrency': {'lock_path': folder / 'locks'},
    })
    path = folder / 'tempest.conf'
    path.touch(mode=0o600)
    with path.open('w') as output:
        options.write(output)
    return path
