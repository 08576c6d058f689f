# SPDX-License-Identifier: Apache-2.0
"""A km whose API and workers are apart: two configurations, two accounts, RabbitMQ between them."""
import contextlib
import secrets
import subprocess

import sqlalchemy
from sqlalchemy import text

from km.plugins.secret_store import key_file
from km.testing.application import write_conf
from tests.functional.km_server import Km, ends_cleanly, environment, program
from tests.functional.servers import HOST, http_answers, reserved_port, running, wait_until

CALL_TIMEOUT_SECONDS = 10
_SERVES = b'km-worker: a process serves'


class Split(Km):
    """A running km of an API and workers.

    :ivar conf: the path of the workers' km.conf.
    :ivar api_conf: the path of the API's.
    :ivar worker: the process of km-worker.
    :ivar rabbitmq: the broker between them.
    """

    def __init__(self, *, api_conf, rabbitmq, folder, **more):
        super().__init__('split', **more)
        self.api_conf, self.rabbitmq, self.folder = api_conf, rabbitmq, folder
        self.worker = None

    @contextlib.contextmanager
    def working(self):
        """Have a km-worker while the block lasts."""
        command = [program('km-worker'), '--config-file', str(self.conf)]
        before = self.log.read_bytes().count(_SERVES)
        with running(command, self.log, env=environment()) as self.worker:
            wait_until(lambda: self.log.read_bytes().count(_SERVES) > before + 1, self.worker, self.log)
            yield self.worker

    def works(self):
        """Whether a worker answers."""
        return self.get('/v1/quotas').status_code == 200


@contextlib.contextmanager
def split(folder, postgresql, keystone, rabbitmq, *, name='km_split',
          call_timeout_seconds=CALL_TIMEOUT_SECONDS):
    """Run ``km-api`` and ``km-worker`` with nothing in common but a broker, a seal key and a database
    that the API may only read; give a ``Split``.

    :param name: what its databases' names begin with; no other km's on this server.
    :param call_timeout_seconds: how long the API waits for a worker.
    """
    connection = postgresql.create_database(name)
    key_file.create(str(folder / 'seal_key'), key_file.SEAL_KEY)
    shared = {
        'DEFAULT': {'debug': 'true', 'transport_url': rabbitmq.tls_transport_url},
        'oslo_messaging_rabbit': {'ssl_ca_file': rabbitmq.ca_file},
        'rpc_transport': {'plugin': 'messaging', 'topic': name,
                          'call_timeout_seconds': call_timeout_seconds},
        'keystone_authtoken': keystone.authtoken_section(),
        'worker': {'seal_key_file': folder / 'seal_key', 'sweep_seconds': 1, 'processes': 2},
    }
    worker_conf = write_conf(folder, {
        **shared, 'api': {'auth_strategy': 'keystone'}, 'database': {'connection': connection},
        'secret_store:soft': {'connection': postgresql.create_database(f'{name}_ciphertext')}})
    subprocess.run([program('km-manage'), '--config-file', worker_conf, 'db', 'upgrade'],
                   env=environment(), check=True, capture_output=True)
    with reserved_port() as port:
        url, api = f'http://{HOST}:{port}', folder / 'api'
        api.mkdir(mode=0o700)
        api_conf = _write_api_conf(api, {
            **shared,
            'api': {'auth_strategy': 'keystone', 'host_href': url, 'bind_port': port, 'workers': 2},
            'database': {'connection': _reader(connection)}})
        keystone.set_key_manager_url(url)
        log = folder / 'split.log'
        with running([program('km-api'), '--config-file', str(api_conf)], log,
                     env=environment()) as process:
            km = Split(url=url, conf=worker_conf, api_conf=api_conf, log=log, process=process,
                       keystone=keystone, databases=postgresql, rabbitmq=rabbitmq, folder=folder)
            with km.working() as worker:
                wait_until(lambda: http_answers(port, '/healthcheck'), process, log)
                yield km
                assert ends_cleanly(worker), km.log_tail()


def _write_api_conf(folder, sections):
    path = folder / 'km.conf'
    path.write_text('\n'.join(
        f'[{section}]\n' + ''.join(f'{name} = {value}\n' for name, value in options.items())
        for section, options in sections.items()))
    path.chmod(0o600)
    return path


def _reader(connection):
    """The URL of an account that may look at every table of a database, and do nothing else."""
    url, password = sqlalchemy.make_url(connection), secrets.token_hex(16)
    name = f'{url.database}_reader'
    owner = sqlalchemy.create_engine(url, isolation_level='AUTOCOMMIT')
    with owner.connect() as made:
        made.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'"))
        made.execute(text(f'GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}'))
    owner.dispose()
    return url.set(username=name, password=password).render_as_string(hide_password=False)
