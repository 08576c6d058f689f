# SPDX-License-Identifier: Apache-2.0
"""A whole km in the test's own process, and a client that speaks HTTP to it without a socket."""
import json as jsonlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from webob import Request, Response

from km.conf.load import load
from km.deploy import Deployment, database
from km.plugins.secret_store import key_file
from km.testing.conformance import require_conformance


def write_conf(folder: Path, sections: Mapping[str, Mapping[str, Any]] | None = None) -> Path:
    """A km.conf in ``folder`` for a km on SQLite with one store, a new key and no authentication.

    :param sections: options to add or put in the place of those, by section; None removes one.
    :returns: the path of the file.
    """
    kek = folder / 'kek'
    if not kek.exists():
        key_file.create(str(kek))
    written: dict[str, dict[str, Any]] = {
        'api': {'auth_strategy': 'noauth', 'host_href': 'http://km.test:9311'},
        'database': {'connection': f'sqlite:///{folder}/km.sqlite'},
        'secret_store': {'enabled': 'soft', 'default': 'soft'},
        'secret_store:soft': {'plugin': 'simple_crypto', 'kek_file': kek,
                              'connection': f'sqlite:///{folder}/soft.sqlite'},
    }
    for name, options in (sections or {}).items():
        written.setdefault(name, {}).update(options)
    path = folder / 'km.conf'
    path.write_text('\n'.join(
        f'[{name}]\n' + ''.join(
            f'{option} = {value}\n' for option, value in options.items() if value is not None)
        for name, options in written.items()))
    path.chmod(0o600)
    return path


def a_deployment(folder: Path, sections: Mapping[str, Mapping[str, Any]] | None = None,
                 **options: Any) -> Deployment:
    """A km that is ready to answer, with its database made; close it in the end.

    :param sections: see ``write_conf``.
    :param options: what ``Deployment`` takes.
    """
    conf = load(files=[str(write_conf(folder, sections))])
    database(conf).upgrade()
    return Deployment(conf, **options)


@dataclass(frozen=True)
class Client:
    """Somebody who asks a km with ``auth_strategy = noauth``."""

    application: Any
    project_id: str = 'alpha'
    user_id: str | None = 'ann'
    roles: str = 'member,reader'
    headers: Mapping[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, *, json: Any = None, body: bytes | None = None,
            **headers: str) -> Response:
        """The response to a request, which must be as the OpenAPI document says.

        :param json: an object to send as JSON; or else ``body``, bytes to send as they are.
        :param headers: header names with underscores for dashes.
        """
        request = Request.blank(path, method=method, environ={'REMOTE_ADDR': '127.0.0.1'})
        request.headers['X-Project-Id'] = self.project_id
        request.headers['X-Roles'] = self.roles
        if self.user_id is not None:
            request.headers['X-User-Id'] = self.user_id
        if json is not None:
            body = jsonlib.dumps(json).encode()
            request.headers['Content-Type'] = 'application/json'
        if body is not None:
            request.body = body
        for name, value in {**self.headers, **headers}.items():
            request.headers[name.replace('_', '-')] = value
        response = request.get_response(self.application)
        require_conformance(request, response)
        return response

    def get(self, path: str, **more: Any) -> Response:
        return self.ask('GET', path, **more)

    def post(self, path: str, json: Any = None, **more: Any) -> Response:
        return self.ask('POST', path, json=json, **more)

    def put(self, path: str, json: Any = None, **more: Any) -> Response:
        return self.ask('PUT', path, json=json, **more)

    def patch(self, path: str, json: Any = None, **more: Any) -> Response:
        return self.ask('PATCH', path, json=json, **more)

    def delete(self, path: str, **more: Any) -> Response:
        return self.ask('DELETE', path, **more)

    def secret(self, payload: str | None = 'a payload', **fields: Any) -> str:
        """A new secret's path."""
        if payload is not None:
            fields.update(payload=payload, payload_content_type='text/plain')
        made = self.post('/v1/secrets', fields)
        assert made.status_int == 201, made.text
        return '/v1' + made.json['secret_ref'].partition('/v1')[2]

    def container(self, members: Mapping[str, str] | None = None, **fields: Any) -> str:
        """A new container's path; it is generic unless ``fields`` have another type.

        :param members: the paths of its secrets by their names in it.
        """
        refs = [{'name': name, 'secret_ref': f'http://km.test:9311{path}'}
                for name, path in (members or {}).items()]
        made = self.post('/v1/containers', {'type': 'generic', 'secret_refs': refs, **fields})
        assert made.status_int == 201, made.text
        return '/v1' + made.json['container_ref'].partition('/v1')[2]
