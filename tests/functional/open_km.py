# SPDX-License-Identifier: Apache-2.0
"""A km that believes everybody, on a database server: for tests of many projects or many processes."""
import configparser
import contextlib
import multiprocessing
import os
import signal
import sys
from types import SimpleNamespace

from km.cmd import api, manage
from km.testing.application import write_conf
from tests.functional.km_server import Km, environment, program
from tests.functional.servers import HOST, http_answers, reserved_port, running, wait_until

#: By this name a database server knows the connections of processes that are to be killed.
VICTIM = 'victim'


class OpenKm(Km):
    """A km with ``auth_strategy = noauth``: ``who`` is the id of a project, and its only user."""

    def credentials(self, who='alpha'):
        return {'X-Project-Id': who, 'X-User-Id': who}


@contextlib.contextmanager
def believing_all(folder, databases, *, name, api=None, quotas=None, sections=None, first=()):
    """Run ``km-api`` on two new databases of a server; give an ``OpenKm``.

    It sweeps once, when it starts.

    :param name: what its databases' names begin with; no other km's on this server.
    :param api: more options of its section [api]; ``quotas`` likewise.
    :param sections: more options, by section.
    :param first: commands of km-manage to run before, each a tuple of words.
    """
    folder.chmod(0o700)
    with reserved_port() as port:
        conf = write_conf(folder, {
            'api': {'host_href': f'http://{HOST}:{port}', 'bind_port': port, **(api or {})},
            'database': {'connection': databases.create_database(name)},
            'worker': {'sweep_seconds': 3600},
            'secret_store:soft': {'connection': databases.create_database(f'{name}_ciphertext')},
            'quotas': quotas or {}, **(sections or {})})
        for words in (('db', 'upgrade'), *first):
            manage.command(['--config-file', str(conf), *words])
        command, log = [program('km-api'), '--config-file', str(conf)], folder / 'km.log'
        with running(command, log, env=environment()) as process:
            wait_until(lambda: http_answers(port, '/healthcheck'), process, log)
            km = OpenKm('open', url=f'http://{HOST}:{port}', conf=conf, log=log, process=process)
            yield km
            km.metadata.dispose()
            km.ciphertext.dispose()


@contextlib.contextmanager
def victim_beside(km, folder):
    """Run one more ``km-api`` on the databases of ``km``, to be killed; give an ``OpenKm``."""
    with reserved_port() as port:
        url, log = f'http://{HOST}:{port}', folder / 'victim.log'
        conf = victims_conf(km, folder, bind_port=port)
        with forked(api.main, log, '--config-file', conf) as process:
            wait_until(lambda: http_answers(port, '/healthcheck'),
                       SimpleNamespace(poll=lambda: process.exitcode), log)
            yield OpenKm('victim', url=url, conf=conf, log=log, process=process)


def victims_conf(km, folder, **api_options):
    """The path of a copy of a km.conf, for one more process on its databases, to be killed.

    :param api_options: what differs in its section [api].
    """
    conf = configparser.ConfigParser(interpolation=None)
    conf.read(km.conf)
    conf['worker']['sweep_seconds'] = '3600'
    conf['api'].update({name: str(value) for name, value in api_options.items()})
    for section in ('database', 'secret_store:soft'):
        conf[section]['connection'] += f'?application_name={VICTIM}'
    path = folder / 'victim.conf'
    path.touch(mode=0o600)
    with path.open('w') as file:
        conf.write(file)
    return path


@contextlib.contextmanager
def forked(main, log, *arguments):
    """Run the ``main`` of a program of km's in a fork, which spares each of many a second of imports.

    Gives its ``multiprocessing.Process``, which leads a process group of its own.
    """
    process = multiprocessing.get_context('fork').Process(
        target=_run, args=(main, log, *map(str, arguments)))
    process.start()
    try:
        yield process
    finally:
        kill(process)


def kill(process):
    """Kill a process and its children, as the kernel does that runs out of memory."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()  # if it did not even get to lead a group
    process.join()


def _run(main, log, *arguments):
    os.setsid()
    for number in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    sys.stdout, sys.stderr = (os.fdopen(number, 'w') for number in (1, 2))
    sys.argv = ['km', *arguments]
    main()
