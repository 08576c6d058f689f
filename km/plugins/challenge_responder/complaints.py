# SPDX-License-Identifier: Apache-2.0
"""What is said of an option that cannot work."""
from km.interfaces import Misconfigured


def misconfigured(name: str, option: str, problem: str) -> Misconfigured:
    """The error that names an option.

    :param name: the operator's name of the responder.
    :param problem: a sentence without its full stop.
    """
    return Misconfigured(f'[challenge_responder:{name}] {option}: {problem}.')


def address(text: str, default_port: int | None = None) -> tuple[str, int]:
    """Host and port of ``host:port``; an IPv6 address stands in brackets.

    :param default_port: the port if there is none; without it there must be one.
    :raises ValueError: it is nothing of the kind.
    """
    host, colon, port = text.rpartition(':')
    if not colon or ']' in port:
        host, port = text, str(default_port)
    bracketed = host.startswith('[') and host.endswith(']')
    host = host[1:-1] if bracketed else host
    if not host or (':' in host) is not bracketed or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(text)
    host.encode('idna')  # as it will be when it is looked up; a UnicodeError is a ValueError
    return host, int(port)
