# SPDX-License-Identifier: Apache-2.0
"""Options of the numbers for Prometheus."""
from oslo_config import cfg

GROUP = 'metrics'

OPTIONS = (
    cfg.BoolOpt(
        'enabled', default=False,
        help='Serve numbers for Prometheus at /metrics, on ports of their own. Nobody is asked who '
             'they are there: keep them where only Prometheus gets.'),
    cfg.HostAddressOpt(
        'bind_host', default='127.0.0.1',
        help='Address for Prometheus.'),
    cfg.PortOpt(
        'bind_port', default=9312,
        help='First port for Prometheus. Each process takes the first that is free from there on: '
             'have Prometheus scrape as many as there are processes, and some for restarts.'),
    cfg.IntOpt(
        'ports', default=16, min=1,
        help='How many ports there are to take. A process that finds none free serves no numbers.'),
    cfg.IntOpt(
        'count_seconds', default=15, min=1,
        help='How long counts from the database are good, however often somebody scrapes.'),
    cfg.BoolOpt(
        'secrets_by_project', default=False,
        help='Count the secrets of each project too. It is a series for each project, and reads an '
             'index of all secrets.'),
)
