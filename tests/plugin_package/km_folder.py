"""Payloads in a folder, a file each. (Not encrypted: an example, no more.)"""
from pathlib import Path

from oslo_config import cfg

from km.interfaces import NotFound, SecretStore


class Folder(SecretStore):
    options = (cfg.StrOpt('path', required=True, help='Where the files are.'),)

    def open(self):
        self.folder = Path(self.settings.path)
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def store(self, request):
        (self.folder / request.secret_id).write_bytes(request.payload)
        return {'file': request.secret_id}

    def retrieve(self, stored):
        try:
            return (self.folder / stored.secret_id).read_bytes()
        except FileNotFoundError:
            raise NotFound('There is no such file.') from None

    def delete(self, stored):
        (self.folder / stored.secret_id).unlink(missing_ok=True)

    def find(self, secret_id):
        return {'file': secret_id} if (self.folder / secret_id).exists() else None
