# SPDX-License-Identifier: Apache-2.0
"""gunicorn's settings for both sides: what km-api sets, with two processes."""

workers = 2
worker_class = 'km.cmd.gathering.GatheringWorker'
threads = 8
keepalive = 30
graceful_timeout = 5
loglevel = 'warning'
# gunicorn before 25.1 knows no such setting, and takes no notice.
control_socket_disable = True
