# SPDX-License-Identifier: Apache-2.0
"""What km writes down of what it did, and that no secret is in it so far."""
import re
import time

from tests.functional.assertions import assert_refused, with_keystone
from tests.functional.km_server import new_text


def lines(km, response):
    """The lines in the log that name a request, once the last of them is there."""
    id_, deadline = response.headers['x-openstack-request-id'], time.monotonic() + 5
    while time.monotonic() < deadline:
        found = [line for line in km.log.read_text(errors='replace').splitlines() if id_ in line]
        if any('requestlog' in line for line in found):
            return found
        time.sleep(0.02)
    raise AssertionError(f'no line for {id_}')


def audited(km, response):
    """What the audit record says of a request, as a dict; None if it says nothing."""
    for line in lines(km, response):
        if 'km.audit' in line:
            action = re.search(r'(\w+:\w+) "', line)[1]
            return {'action': action, **dict(re.findall(r'(\w+)=(\S+)', line))}
    return None


def test_a_request_is_one_line_without_its_query(km):
    path = km.secret()
    answer = km.get(f'{path}?password=in+the+query')
    (line,) = [line for line in lines(km, answer) if 'requestlog' in line]
    for part in (f'user={km.user_id()}', 'project=', 'GET', path, ' 200 '):
        assert part in line
    assert re.search(r'\d+(\.\d+)?ms', line)
    assert 'in+the+query' not in km.log.read_text(errors='replace')


def test_deeds_are_in_the_audit_record(km):
    made = km.post('/v1/secrets', {'payload': new_text(), 'payload_content_type': 'text/plain'})
    ref = made.json()['secret_ref']
    id_ = ref.rpartition('/')[2]
    for response, action, outcome in (
            (made, 'secrets:post', '201'), (km.get(ref + '/payload'), 'secret:decrypt', '200'),
            (km.get(ref, Accept='text/plain'), 'secret:decrypt', '200'),
            (km.put(ref + '/acl', {'read': {'users': ['bob']}}), 'secret_acls:put_patch', '200'),
            (km.patch(ref + '/acl', {'read': {}}), 'secret_acls:put_patch', '200'),
            (km.delete(ref + '/acl'), 'secret_acls:delete', '200'),
            (km.delete(ref), 'secret:delete', '204')):
        record = audited(km, response)
        assert (record['action'], record['secret'], record['outcome']) == (action, id_, outcome)
        assert record['user'] == km.user_id()


@with_keystone
def test_a_denial_is_in_the_audit_record(km):
    path = km.secret()
    for rest in ('', '/payload', '/metadata', '/acl'):
        answer = km.get(path + rest, who='beta-member')
        assert_refused(answer, 403)
        record = audited(km, answer)
        assert record['outcome'] == 'denied'
        assert record['user'] == km.user_id('beta-member')
        assert record['secret'] in path


def test_a_line_cannot_be_forged(km):
    forged = '/v1/secrets/x%0a2026-01-01%2000:00:00.000%201%20INFO%20km.audit%20forged'
    assert_refused(km.get(forged), 404)
    km.get('/', X_Forwarded_For='a\tkm.audit forged')
    assert not re.search(r'^\S+ \S+ 1 INFO km.audit forged', km.log.read_text(errors='replace'),
                         re.MULTILINE)


def test_no_payload_password_or_token_is_in_the_log(km):
    """So far; the fixture looks again in the very end."""
    assert km.leaks() == set()
