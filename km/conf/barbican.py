# SPDX-License-Identifier: Apache-2.0
"""From a barbican.conf to a km.conf: ``km-manage conf import``.

Each option of the old file is carried into the new one, or named in a warning. A warning never has a
value in it: values may be passwords, or master keys.
"""
from km.conf import barbican_options as tables
from km.conf import barbican_stores
from km.conf.barbican_files import NewFile, OldFile


def imported(path: str) -> tuple[str, list[str]]:
    """The km.conf that a barbican.conf becomes, and the warnings for whoever will use it.

    The first may hold passwords, as the file at ``path`` did.

    :raises Misconfigured: ``path`` cannot be read, or is no INI file.
    """
    old, new = OldFile(path), NewFile()
    done = barbican_stores.translate(old, new) | _database(old, new) | _transport(old, new)
    _roles(old, new)
    for section, options in old.sections.items():
        for option, values in options.items():
            if values and (section, option) not in done:
                _translate(new, (section, option), values)
    return new.text(), new.warnings


def database_url(old: OldFile) -> str | None:
    """The URL of Barbican's database, with the driver km has; None if the file has none."""
    given = [url for option in tables.DATABASE_URLS if (url := old.last(*option))]
    return with_driver(given[0]) if given else None


def with_driver(url: str) -> str:
    """A database URL as Barbican has it, with the driver km has."""
    scheme, separator, rest = url.partition('://')
    return tables.DRIVERS.get(scheme, scheme) + separator + rest


def _translate(new: NewFile, option: tuple[str, str], values: list[str]) -> None:
    """Carry one option by the tables, or say why not."""
    section, name = option
    if option in tables.RENAMED:
        new.carry(option, tables.RENAMED[option], values[-1])
    elif option in tables.WITHOUT_EQUAL:
        new.warn(*option, tables.WITHOUT_EQUAL[option])
    elif (option in tables.COPIED or section.startswith(tables.COPIED_SECTIONS)
            or new.knows(section, name)):
        for value in values:
            new.carry(option, option, value)
    else:
        new.warn(*option, tables.WITHOUT_EQUAL.get((section, '*'), 'km has no such option.'))
    if option in tables.NOTES:
        new.warn(*option, tables.NOTES[option])


def _database(old: OldFile, new: NewFile) -> set[tuple[str, str]]:
    """Carry the URL of the metadata database, with the driver km has; the options that were read."""
    given = [option for option in tables.DATABASE_URLS if old.last(*option)]
    url = database_url(old)
    if url:
        new.put('database', 'connection', url)
        new.warn(*given[0], 'km needs an empty database of its own; make one, and put its name in '
                            "the place of Barbican's in this URL.")
    else:
        new.warn('database', 'connection', 'it is not in the old file, and km needs one.')
    return set(given)


def _transport(old: OldFile, new: NewFile) -> set[tuple[str, str]]:
    """Put the worker behind messaging where it was; the options that were read."""
    if old.is_on('queue', 'enable'):
        new.put('rpc_transport', 'plugin', 'messaging')
        new.warnings.append('[rpc_transport] plugin: with messaging, km-worker does what '
                            'barbican-worker did; km.conf.sample has the options of both ends.')
    return {('queue', 'enable')}


def _roles(old: OldFile, new: NewFile) -> None:
    """Warn where the old file leaves it to a default that was another one."""
    if old.last('oslo_policy', 'enforce_new_defaults') is None:
        new.warn('oslo_policy', 'enforce_new_defaults',
                 "it is not set, and km then goes by Keystone's reader, member and admin; Barbican "
                 'before 23.0 went by creator, observer and audit, which false selects.')
