# SPDX-License-Identifier: Apache-2.0
"""Options of certificates: how long km keeps at an order of one, and when it renews them."""
from oslo_config import cfg

GROUP = 'certificates'

OPTIONS = (
    cfg.IntOpt(
        'give_up_after_hours', default=168, min=1,
        help='How old an order of a certificate may get. One that an authority has still not answered '
             'then has failed.'),
    cfg.IntOpt(
        'retry_seconds', default=30, min=1,
        help='Pause before an authority is asked again that did not answer and did not say when to. It '
             'doubles each time, up to an hour, give or take a fifth.'),
    cfg.IntOpt(
        'renew_percent', default=67, min=1, max=99,
        help='At what part of its lifetime a certificate is renewed whose order asks for renewal and '
             'does not say when. Where an authority advises a time (ARI, RFC 9773), that holds.'),
    cfg.IntOpt(
        'renewal_retry_minutes', default=60, min=1,
        help='Pause after a renewal that failed. It doubles each time, up to a day, but a certificate '
             'that ends sooner is tried more often.'),
    cfg.IntOpt(
        'former_versions', default=3, min=0,
        help='How many former versions of a renewed certificate are kept, with their keys, for who '
             'still reads them. Older ones are deleted once they have ended.'),
)
