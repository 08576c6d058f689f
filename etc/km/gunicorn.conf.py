# SPDX-License-Identifier: Apache-2.0
# km in a gunicorn of your own, with what km-api sets: gunicorn --config /etc/km/gunicorn.conf.py
# Do not preload: each process must open its own connections.
wsgi_app = 'km.wsgi:application'
bind = '127.0.0.1:9311'
workers = 4
threads = 8
# With gunicorn's own gthread, eight clients that send half a request stop a process.
worker_class = 'km.cmd.gathering.GatheringWorker'
keepalive = 30
graceful_timeout = 5
loglevel = 'warning'
control_socket_disable = True
