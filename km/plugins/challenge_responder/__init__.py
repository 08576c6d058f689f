# SPDX-License-Identifier: Apache-2.0
"""Challenge responders: how km proves to an authority that a name is its operator's."""
import os

# eventlet, which oslo.service drags in, would load parts of dnspython a second time, and what one copy
# calls a name is none to the other.
os.environ.setdefault('EVENTLET_NO_GREENDNS', 'yes')
