# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document is valid, has every route and nothing else, and the schemas km validates with.

That km answers as it says is asked of every response in the tests, by ``km.testing.application.Client``.
"""
import json
import re

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from km.acl.rules import RULES
from km.api import (
    acls,
    authorities,
    certificate_orders,
    certificates,
    consumers,
    containers,
    metadata,
    openapi,
    orders,
    quotas,
    schemas,
    secrets,
)
from km.api import transport_keys as transport

DOCUMENT = openapi.document()
COMPONENTS = DOCUMENT['components']
OPERATIONS = {(method.upper(), path): told for path, verbs in DOCUMENT['paths'].items()
              for method, told in verbs.items() if method != 'parameters'}
#: What bodies are validated with, by the name that clients know it by.
VALIDATED = {
    'Secret': secrets.SECRET, 'SecretMetadata': metadata.SECRET_METADATA,
    'SecretMetadatum': metadata.SECRET_METADATUM, 'ACL': acls.ACL, 'Order': orders.ORDER,
    'Container': containers.CONTAINER, 'ContainerSecret': containers.CONTAINER_SECRET,
    'SecretConsumer': consumers.SECRET_CONSUMER, 'Consumer': consumers.CONSUMER,
    'ProjectQuota': quotas.PROJECT_QUOTAS, 'TransportKey': transport.TRANSPORT_KEY,
    'CA': authorities.CA, 'CertificateOrder': certificate_orders.CERTIFICATE_ORDER,
    'Revocation': certificates.REVOCATION,
}


def references(node):
    """Every ``$ref`` in a part of the document."""
    return set(re.findall(r'"\$ref": "#/components/(\w+/\w+)"', json.dumps(node)))


def test_it_is_valid_openapi_3_1():
    assert [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def test_it_has_every_rule_and_nothing_else():
    assert sorted(OPERATIONS) == sorted(
        {(rule.method, f'/v1/{rule.path}'.rstrip('/')) for rule in RULES})


def test_an_operation_names_the_actions_of_its_rules():
    for rule in RULES:
        told = OPERATIONS[rule.method, f'/v1/{rule.path}'.rstrip('/')]
        assert rule.action in told['x-openstack-policy']
        assert rule.operation in told['description'] or not rule.json
        assert told['summary'].endswith('.')


def test_no_two_operations_have_one_id():
    assert len({told['operationId'] for told in OPERATIONS.values()}) == len(OPERATIONS)


def test_requests_are_validated_with_the_schemas_of_the_document():
    taken = {name for told in OPERATIONS.values() for name in references(told.get('requestBody'))}
    assert taken == {f'schemas/{name}' for name in VALIDATED}
    for name, schema in VALIDATED.items():
        assert COMPONENTS['schemas'][name] is schema


def test_every_component_is_used_and_every_reference_leads_to_one():
    components = {f'{kind}/{name}' for kind, named in COMPONENTS.items()
                  if kind != 'securitySchemes' for name in named}
    assert references(DOCUMENT) == components


@pytest.mark.parametrize('name', schemas.NAMED)
def test_a_schema_means_the_same_in_draft_7_and_2020_12(name):
    schema = schemas.NAMED[name]
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert not set(re.findall(r'"(\$?\w+)":', json.dumps(schema))) & {
        'dependencies', 'additionalItems', 'prefixItems', 'unevaluatedProperties', 'dependentRequired',
        'definitions', '$defs'}


@pytest.mark.parametrize(('method', 'path'), OPERATIONS)
def test_an_operation_has_one_success_and_the_errors_that_any_may_meet(method, path):
    statuses = OPERATIONS[method, path]['responses'].keys()
    assert len([status for status in statuses if status < '300']) == 1
    assert {'400', '401', '403', '406', '413', '500', '503'} <= statuses
    assert '404' in statuses or '{' not in path
    assert ('415' in statuses) is ('requestBody' in OPERATIONS[method, path])


def test_what_was_made_leads_to_all_that_can_be_done_with_it():
    links = OPERATIONS['POST', '/v1/secrets']['responses']['201']['links']
    assert links['delete_secrets_secret_id']['parameters'] == {
        'secret_id': '$response.header.Location#regex:/([^/]+)$'}
    assert links.keys() >= {'get_secrets_secret_id', 'put_secrets_secret_id',
                            'get_secrets_secret_id_payload', 'put_secrets_secret_id_acl'}
