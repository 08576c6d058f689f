# SPDX-License-Identifier: Apache-2.0
"""Who asks. An ``Identity`` is made by authentication and never changes afterwards."""
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The person or service behind a request.

    :param user_id: Keystone user id, or the user's name where km authenticates by itself.
    :param project_id: Keystone project id; secrets made by this request belong to it.
    :param roles: role names in that project, lower case.
    :param request_id: ``req-<uuid>``, the name of the request in every log.
    :param token: the Keystone token it was made from, for whoever must ask Keystone again.
    :param service_token: the token of the service that asks for a user, if one came along.
    """

    user_id: str | None
    project_id: str
    roles: tuple[str, ...] = ()
    request_id: str = ''
    token: str | None = field(default=None, repr=False)
    service_token: str | None = field(default=None, repr=False)
