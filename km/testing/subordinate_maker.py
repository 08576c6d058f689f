# SPDX-License-Identifier: Apache-2.0
"""What km asks of a certificate authority that makes others under it, as tests.

Subclass it beside ``CertificateAuthorityContract``, with the same fixtures.
"""
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from km.interfaces import Issued, NotSupported, Rejected, SubordinateRequest
from km.testing.certificate_orders import (
    PROJECT_ID,
    OrderFixtures,
    loaded,
    new_order,
    obtained,
    require_chain,
    revoke_request,
    spki,
)


class SubordinateMakerContract(OrderFixtures):
    """Subclasses give a fixture ``authority``: an open one that is a ``SubordinateMaker`` too."""

    @pytest.fixture
    def authority(self) -> Iterator[Any]:
        raise NotImplementedError('give your contract suite a fixture named authority')

    def test_one_is_made_with_the_subject_that_was_asked_for_under_its_parent(self, authority):
        request = _subordinate(authority)
        made = authority.make_subordinate(request)
        assert made.name == request.authority_id
        require_chain(Issued(certificate=made.certificate, chain=made.chain))
        certificate = x509.load_der_x509_certificate(made.certificate)
        assert certificate.subject.public_bytes() == request.subject
        assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert made.chain[0] == authority.authorities()[0].certificate

    def test_one_that_is_asked_for_again_is_the_same_one(self, authority, another):
        request = _subordinate(authority)
        made = authority.make_subordinate(request)
        for asked in (authority, another()):
            again = asked.make_subordinate(request)
            assert (again.name, again.certificate, again.chain) == (
                made.name, made.certificate, made.chain)

    def test_it_issues_with_the_whole_chain(self, authority, names, settle, another):
        made = authority.make_subordinate(_subordinate(authority))
        for asked in (authority, another()):
            issued = obtained(asked, replace(new_order(asked, names), authority=made.name), settle)
            require_chain(issued)
            assert issued.chain[:2] == (made.certificate, made.chain[0])

    def test_two_of_them_are_two(self, authority):
        one, other = (authority.make_subordinate(_subordinate(authority)) for _ in range(2))
        keys = {spki(x509.load_der_x509_certificate(made.certificate).public_key())
                for made in (one, other)}
        assert len(keys) == 2

    def test_another_project_has_no_certificate_of_it(self, authority, names):
        made = authority.make_subordinate(_subordinate(authority))
        with pytest.raises((Rejected, NotSupported)):
            authority.issue(replace(new_order(authority, names), authority=made.name,
                                    project_id=PROJECT_ID[::-1]))

    def test_what_cannot_be_made_is_rejected(self, authority):
        whole = _subordinate(authority)
        for request in (replace(whole, parent='no such authority'), replace(whole, subject=b''),
                        replace(whole, subject=b'garbage'), replace(whole, subject=whole.subject[:-1])):
            with pytest.raises(Rejected) as failure:
                authority.make_subordinate(replace(request, authority_id=str(uuid.uuid4())))
            assert failure.value.sentence.isprintable()

    def test_one_that_was_removed_issues_no_more_and_removing_twice_is_no_error(
            self, authority, names, settle, another):
        made = authority.make_subordinate(_subordinate(authority))
        order = replace(new_order(authority, names), authority=made.name)
        issued = obtained(authority, order, settle)
        for asked in (authority, authority, another()):
            asked.remove_subordinate(made.name)
        for asked in (authority, another()):
            with pytest.raises((Rejected, NotSupported)):
                asked.issue(replace(new_order(asked, names), authority=made.name))
        assert loaded(obtained(authority, new_order(authority, names), settle))
        for _ in range(2):
            authority.revoke(revoke_request(order, issued))

    def test_removing_one_that_is_not_there_is_no_error(self, authority, names, settle):
        authority.remove_subordinate(str(uuid.uuid4()))
        assert obtained(authority, new_order(authority, names), settle)


def _subordinate(authority: Any) -> SubordinateRequest:
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, 'A Project'),
                         x509.NameAttribute(NameOID.COMMON_NAME, f'under it {uuid.uuid4()}')])
    return SubordinateRequest(authority_id=str(uuid.uuid4()), project_id=PROJECT_ID, name='under it',
                              parent=authority.authorities()[0].name, subject=subject.public_bytes())
