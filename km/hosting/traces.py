# SPDX-License-Identifier: Apache-2.0
"""What may be told of an exception that a plugin raised."""
import traceback

from km.errors import KmError


def trace(error: BaseException) -> str:
    """Its type, and the lines of code that led to it; not its message, which may hold a payload."""
    return f'{type(error).__name__}, raised by:\n{"".join(traceback.format_tb(error.__traceback__))}'


def is_told(error: KmError) -> bool:
    """Whether its sentence is one: a plugin may have put anything there, or nothing."""
    return type(getattr(error, 'sentence', None)) is str
