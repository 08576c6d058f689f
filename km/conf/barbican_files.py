# SPDX-License-Identifier: Apache-2.0
"""The two files of ``km-manage conf import``: the barbican.conf as it was read, the km.conf to print."""
from dataclasses import dataclass, field

from oslo_config import cfg

from km.conf import load
from km.errors import Misconfigured

DEFAULT = 'DEFAULT'


class OldFile:
    """A barbican.conf, read.

    ``sections`` is section -> option -> values in their order, without empty ones. Names are as
    oslo.config takes them: sections in lower case, but for ``DEFAULT``.
    """

    def __init__(self, path: str):
        """Read ``path``.

        :raises Misconfigured: it cannot be read, or is no INI file; never with what it holds.
        """
        self.sections: dict[str, dict[str, list[str]]] = {}
        for section, options in _read(path).items():
            kept = self.sections.setdefault(_normal(section), {})
            for option, values in options.items():
                kept.setdefault(option.lower().replace('-', '_'), []).extend(filter(None, values))

    def last(self, section: str, option: str) -> str | None:
        """The value in force of an option; None if it has none."""
        values = self.values(section, option)
        return values[-1] if values else None

    def every(self, section: str, option: str) -> list[str]:
        """The values of an option that is a list, or may be given several times."""
        return [part.strip() for value in self.values(section, option)
                for part in value.split(',') if part.strip()]

    def is_on(self, section: str, option: str) -> bool:
        """Whether a switch is on; one that is not there is off."""
        return (self.last(section, option) or '').lower() in ('true', '1', 'on', 'yes')

    def values(self, section: str, option: str) -> list[str]:
        """Everything an option was given, in order; nothing if it was not."""
        return self.sections.get(_normal(section), {}).get(option, [])


@dataclass
class NewFile:
    """A km.conf as it comes to be, and what to tell the operator about it."""

    sections: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    _known: cfg.ConfigOpts = field(default_factory=load.new)

    def knows(self, section: str, option: str) -> bool:
        """Whether km, or a library in its pipeline, has this option."""
        try:
            return option in (self._known if section == DEFAULT else self._known[section])
        except cfg.NoSuchOptError:
            return False

    def carry(self, old: tuple[str, str], new: tuple[str, str], value: str) -> None:
        """Set the option ``new`` to what the option ``old`` was; warn if km cannot take that."""
        if self._takes(*new, value):
            self.put(*new, value)
        else:
            self.warn(*old, f'km cannot take its value as {_named(*new)}; set that yourself.')

    def put(self, section: str, option: str, value: str) -> None:
        """Set an option; one that is set already gets one more value."""
        self.sections.setdefault(section, []).append((option, value))

    def warn(self, section: str, option: str, sentence: str) -> None:
        """Tell the operator about an option of the old file."""
        self.warnings.append(f'{_named(section, option)}: {sentence}')

    def text(self) -> str:
        """The file."""
        return '\n'.join(
            f'[{section}]\n' + ''.join(f'{option} = {_quoted(value)}\n' for option, value in options)
            for section, options in sorted(self.sections.items()))

    def _takes(self, section: str, option: str, value: str) -> bool:
        """Whether ``value`` is one for this option, as far as its type is known here."""
        if not self.knows(section, option):
            return True
        group = None if section == DEFAULT else section
        try:
            self._known.set_override(option, value, group=group)
            (self._known[group] if group else self._known)[option]  # a $reference to nothing fails
        except (ValueError, cfg.Error):
            return False
        return True


def _read(path: str) -> dict[str, dict[str, list[str]]]:
    read: dict[str, dict[str, list[str]]] = {}
    try:
        cfg.ConfigParser(path, read).parse()
    except OSError as error:
        raise Misconfigured(f'{path} cannot be read: {error.strerror}.') from None
    except UnicodeDecodeError:
        raise Misconfigured(f'{path} is no INI file: it is not text.') from None
    except cfg.ParseError as error:
        raise Misconfigured(f'{path} is no INI file: line {error.lineno}, {error.msg}.') from None
    return read


def _normal(section: str) -> str:
    return section if section == DEFAULT else section.lower()


def _named(section: str, option: str) -> str:
    return f'[{section}] {option}'


def _quoted(value: str) -> str:
    """A value as oslo.config reads it back: quotes keep what is outermost, blanks continue a line."""
    if value != value.strip() or (value[0] == value[-1] and value[0] in '\'"'):
        value = f'"{value}"'
    return value.replace('\n', '\n    ')
