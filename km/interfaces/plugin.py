# SPDX-License-Identifier: Apache-2.0
"""What every plugin has, whatever it does."""
from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class Plugin(ABC):
    """Something an operator enables by name in ``km.conf``.

    ``options`` are ``oslo.config`` options. km registers them in the section of each instance and
    hands the constructor that section alone; an option with ``required=True`` is guaranteed a value.

    ``foreign_options`` are those of a library that looks for them in sections of its own, by section:
    operators know them by these names from other services. ``self.foreign`` is an ``oslo.config``
    configuration that has these sections as the operator wrote them, and no other.
    """

    options: ClassVar[Sequence[Any]] = ()
    foreign_options: ClassVar[Mapping[str, Sequence[Any]]] = {}
    foreign: Any = None

    def __init__(self, name: str, settings: Any):
        """Remember the settings; touch nothing else.

        :param name: the operator's name of this instance, for messages.
        :param settings: the instance's own section; every option is an attribute.
        """
        self.name = name
        self.settings = settings

    def open(self) -> None:
        """Get ready to work: open connections, read key files.

        Called once, in the process that will use the plugin.

        :raises Misconfigured: the settings cannot work; km does not start and prints the sentence.
        :raises Unavailable: the backend does not answer.
        """

    def check(self) -> str:
        """Prove that the plugin works, with a real round trip where there is one.

        :returns: one line for the operator, such as ``'3 keys, newest 4f0c...'``.
        :raises KmError: it does not work; the sentence says why.
        """
        return 'ok'

    def close(self) -> None:
        """Give everything back. Called once, at the end; never fails."""
