# SPDX-License-Identifier: Apache-2.0
"""Options of the metadata database."""
from oslo_config import cfg

GROUP = 'database'

OPTIONS = (
    cfg.StrOpt(
        'connection', secret=True, required=True,
        help='SQLAlchemy URL of the metadata database: postgresql+psycopg://user:password@host/km, '
             'mysql+pymysql://user:password@host/km (MariaDB; needs km[mysql]) or '
             'sqlite:////var/lib/km/km.sqlite. It holds names, types, owners and rules, never '
             'a payload or ciphertext.'),
    cfg.IntOpt(
        'max_connections', default=20, min=1,
        help='Connections to the metadata database that one process may open.'),
    cfg.IntOpt(
        'connection_recycle_seconds', default=3600, min=1,
        help='Age at which an idle connection is replaced.'),
)
