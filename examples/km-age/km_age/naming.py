# SPDX-License-Identifier: Apache-2.0
"""What a file is called: ``SECRET-ID.SHA-256.age``."""
import re

from km.interfaces import Kept, StoredSecret

_NAME = re.compile(r'([0-9a-f-]{36})\.([0-9a-f]{64})\.age')


def name(secret_id: str, digest: str) -> str:
    """The name of a file with this SHA-256, in lower-case hexadecimal digits."""
    return f'{secret_id}.{digest}.age'


def of(stored: StoredSecret) -> str | None:
    """The name of a secret's file; None if there can be none, so that no reference leads elsewhere."""
    made = name(stored.secret_id, str(stored.reference.get('sha256')))
    return made if _NAME.fullmatch(made) else None


def read(made: str) -> Kept | None:
    """What lies in a file of that name; None if it is no name of ours."""
    parts = _NAME.fullmatch(made)
    return parts and Kept(secret_id=parts[1], reference={'sha256': parts[2]})
