# SPDX-License-Identifier: Apache-2.0
"""Options of the quotas that hold for a project which was given none of its own."""
from oslo_config import cfg

GROUP = 'quotas'

_MOST = 'How many {} a project may have; -1 is no limit, 0 is none at all.{}'

OPTIONS = (
    cfg.IntOpt('secrets', default=-1, min=-1, help=_MOST.format(
        'secrets', ' Secrets that orders make count, and so do those without payload. Cinder makes '
                   'one for each encrypted volume, in the project of the volume.')),
    cfg.IntOpt('orders', default=-1, min=-1, help=_MOST.format(
        'orders', ' Fulfilled ones count until they are deleted.')),
    cfg.IntOpt('containers', default=-1, min=-1, help=_MOST.format('containers', '')),
    cfg.IntOpt('consumers', default=-1, min=-1, help=_MOST.format(
        'consumers', ' Those of secrets and of containers count together, for the project that '
                     'registered them.')),
    cfg.IntOpt('cas', default=-1, min=-1, help=_MOST.format('subordinate authorities', '')),
)
