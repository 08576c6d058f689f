# SPDX-License-Identifier: Apache-2.0
"""What may be logged of an exception that nobody knows."""
import traceback


def trace(error: BaseException) -> str:
    """Its type, and the lines of code that led to it; not its message, which may hold a payload."""
    return f'{type(error).__name__}, raised by:\n{"".join(traceback.format_tb(error.__traceback__))}'
