"""Payloads in a folder, a file each. (Not encrypted: an example, no more.)"""
import uuid
from pathlib import Path

from oslo_config import cfg

from km.interfaces import NotFound, SecretStore


class Folder(SecretStore):
    options = (cfg.StrOpt('path', required=True, help='Where the files are.'),)

    def open(self):
        self.folder = Path(self.settings.path)
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def store(self, request):
        name = f'{request.secret_id}.{uuid.uuid4()}'  # each attempt has a file of its own
        (self.folder / name).write_bytes(request.payload)
        return {'file': name}

    def retrieve(self, stored):
        try:
            return (self.folder / stored.reference['file']).read_bytes()
        except (FileNotFoundError, KeyError):
            raise NotFound('There is no such file.') from None

    def delete(self, stored):
        (self.folder / stored.reference['file']).unlink(missing_ok=True)

    def find(self, secret_id):
        return next(({'file': path.name} for path in self.folder.glob(f'{secret_id}.*')), None)
