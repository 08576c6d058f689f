# SPDX-License-Identifier: Apache-2.0
"""What km asks of a certificate authority that says when to renew, as tests.

Subclass it beside ``CertificateAuthorityContract``, with the same fixtures.
"""
from collections.abc import Iterator
from typing import Any

import pytest

from km.testing.certificate_orders import OrderFixtures, loaded, new_order, obtained


class RenewalAdviserContract(OrderFixtures):
    """Subclasses give a fixture ``authority``: an open one that is a ``RenewalAdviser`` too."""

    @pytest.fixture
    def authority(self) -> Iterator[Any]:
        raise NotImplementedError('give your contract suite a fixture named authority')

    def test_a_window_begins_before_it_ends_and_before_the_certificate_does(
            self, authority, names, settle):
        issued = obtained(authority, new_order(authority, names), settle)
        window = authority.renewal_window(issued.certificate)
        if window is not None:
            ends = loaded(issued)[0].not_valid_after_utc.replace(tzinfo=None)
            assert window.start.tzinfo is window.end.tzinfo is None
            assert window.start < window.end
            assert window.start < ends
            assert window.ask_after_seconds > 0
            assert window.explanation_url is None or window.explanation_url.startswith('http')

    def test_another_instance_says_the_same(self, authority, names, settle, another):
        issued = obtained(authority, new_order(authority, names), settle)
        said = [asked.renewal_window(issued.certificate) for asked in (authority, another())]
        assert (said[0] is None) == (said[1] is None)
        if said[0] is not None and said[1] is not None:
            assert (said[0].start, said[0].end) == (said[1].start, said[1].end)
