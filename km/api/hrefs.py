# SPDX-License-Identifier: Apache-2.0
"""The links km hands out: absolute, the id last, no trailing slash."""
from typing import Any

from webob import Request


def base(environ: dict[str, Any], host_href: str | None) -> str:
    """What every link begins with: ``[api] host_href``, or what the request was sent to."""
    return (host_href or Request(environ).application_url).rstrip('/')


def secret(root: str, secret_id: str) -> str:
    """``secret_ref``."""
    return f'{root}/v1/secrets/{secret_id}'


def acl(root: str, secret_id: str) -> str:
    """``acl_ref`` of a secret."""
    return f'{secret(root, secret_id)}/acl'


def metadata(root: str, secret_id: str) -> str:
    """``metadata_ref``."""
    return f'{secret(root, secret_id)}/metadata'
