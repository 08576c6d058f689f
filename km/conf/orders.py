# SPDX-License-Identifier: Apache-2.0
"""Options of orders: which keys km makes, and how long it keeps at it."""
from oslo_config import cfg

GROUP = 'orders'

OPTIONS = (
    cfg.BoolOpt(
        'legacy_algorithms', default=False,
        help='Also make keys that NIST SP 800-131A withdrew: DES, 3DES and RSA of 1024 bits.'),
    cfg.IntOpt(
        'lease_seconds', default=120, min=1,
        help='How long a worker that has begun with an order may be at it before another one '
             'takes the order over. Longer than the slowest store takes to keep a key.'),
    cfg.IntOpt(
        'retry_seconds', default=10, min=1,
        help='Pause before an order is tried again whose store did not answer. It doubles each '
             'time, up to an hour.'),
    cfg.IntOpt(
        'most_attempts', default=20, min=1,
        help='How often an order is tried before it is given up.'),
)
