# SPDX-License-Identifier: Apache-2.0
"""Options of the keys that clients wrap payloads with, so that no proxy on the way sees them."""
from oslo_config import cfg

GROUP = 'transport_keys'

OPTIONS = (
    cfg.BoolOpt(
        'enabled', default=True,
        help='Whether clients may wrap payloads with an RSA key of km, which is made when the first '
             'of them asks for it. Its private half is kept in the default secret store.'),
    cfg.IntOpt(
        'bits', default=3072, min=2048, max=8192,
        help='Length of new keys, in bits of their modulus.'),
    cfg.IntOpt(
        'rotate_days', default=30, min=1,
        help='Age at which a sweep puts a new key in the place of the current one.'),
    cfg.IntOpt(
        'retire_days', default=7, min=1,
        help='How long a key that is no longer current still opens payloads; then a sweep destroys '
             'its private half.'),
    cfg.BoolOpt(
        'legacy_padding', default=False,
        help='Take a wrapped payload that OAEP does not open for one in the padding of PKCS#1 v1.5, '
             'as "openssl rsautl" writes it, even if its sender does not say so. That padding has no '
             'check: what was wrapped for another key, or damaged on the way, is then kept as random '
             'bytes without anybody being told. Without this, senders say transport_key_padding.'),
)
