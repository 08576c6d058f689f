# SPDX-License-Identifier: Apache-2.0
"""Answers that are not as the OpenAPI document says are noticed."""
import pytest
from webob import Request, Response

from km.testing.conformance import require_conformance

LIST = {'secrets': [], 'total': 0}
ERROR = {'code': 404, 'title': 'Not Found', 'description': None}


def answer(status=200, body=LIST, *, left_out=(), **more):
    response = Response(json=body, status=status, charset='UTF-8', **more)
    response.headers.update({
        'x-openstack-request-id': 'req-1', 'OpenStack-API-Version': 'key-manager 1.0'})
    for name in left_out:
        del response.headers[name]
    return response


@pytest.mark.parametrize(('path', 'response'), [
    ('/v1/secrets', answer()), ('/v1//secrets/', answer()), ('/v1/nothing', answer(418)),
    ('/v1/secrets/x', answer(404, ERROR)), ('/', answer(300))])
def test_what_the_document_says_or_does_not_know_is_let_pass(path, response):
    require_conformance(Request.blank(path), response)


@pytest.mark.parametrize(('path', 'response', 'complaint'), [
    ('/v1/secrets', answer(201), 'not in the OpenAPI document'),
    ('/v1/secrets', answer(404, ERROR), 'not in the OpenAPI document'),
    ('/v1/secrets', answer(body={'secrets': []}), "'total' is a required"),
    ('/v1/secrets', answer(body={**LIST, 'colour': 'red'}), 'colour'),
    ('/v1/secrets', answer(body={**LIST, 'secrets': [{}]}), "'created' is a required"),
    ('/v1/secrets', answer(content_type='text/html'), 'text/html'),
    ('/v1/secrets', answer(left_out=['OpenStack-API-Version']), 'no OpenStack-API-Version'),
    ('/v1/secrets', answer(left_out=['x-openstack-request-id']), 'no x-openstack-request-id'),
    ('/v1/secrets/x', answer(404, {**ERROR, 'code': 400}), '404 was expected'),
    ('/v1/secrets/x', answer(404, {'code': 404}), "'title' is a required"),
])
def test_another_answer_is_not(path, response, complaint):
    with pytest.raises(AssertionError, match=complaint):
        require_conformance(Request.blank(path), response)


def test_an_answer_that_has_no_body_must_have_none():
    request, response = Request.blank('/v1/secrets/x', method='DELETE'), answer()
    response.status = 204
    with pytest.raises(AssertionError, match='has a body'):
        require_conformance(request, response)
    response.body = b''
    require_conformance(request, response)
