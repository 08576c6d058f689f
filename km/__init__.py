# SPDX-License-Identifier: Apache-2.0
"""km, the key manager. README.rst is the front door and holds the map of the rooms."""
import os

# eventlet, which oslo.service drags in, would bring a dnspython of its own and change the one that is
# there: what one of them calls a name is none to the other.
os.environ.setdefault('EVENTLET_NO_GREENDNS', 'yes')
