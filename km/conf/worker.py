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
)
