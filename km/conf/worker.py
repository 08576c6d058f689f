# SPDX-License-Identifier: Apache-2.0
"""Options of the worker, and of the sweep that tidies up behind crashes and expiry."""
from oslo_config import cfg

GROUP = 'worker'

OPTIONS = (
    cfg.IntOpt(
        'sweep_seconds', default=30, min=1,
        help='Pause between two sweeps. A sweep erases expired secrets and undoes what a killed '
             'process left half done.'),
    cfg.IntOpt(
        'intent_timeout_seconds', default=600, min=1,
        help='How long a secret may be on its way into or out of a store before a sweep takes '
             'the process that was at it for dead.'),
    cfg.IntOpt(
        'processes', default=2, min=1,
        help='Processes of km-worker, where the worker is not in the process of the API.'),
    cfg.ListOpt(
        'seal_key_file', default=[],
        help='Where API and workers are in processes of their own: files with the keys that messages '
             'between them are sealed with, made by "km-manage seal-key create" and the same on every '
             'host. The first key seals, all of them open: to change keys, add the new one behind the '
             'old one everywhere, then put it in front everywhere, then take the old one out.'),
    cfg.IntOpt(
        'message_lifetime_seconds', default=60, min=1,
        help='How old a message may be when a worker opens it, and by how much the clocks of the '
             'hosts may differ. Workers remember every message for twice that long, and take none '
             'twice.'),
)
