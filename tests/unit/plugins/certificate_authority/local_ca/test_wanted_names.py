# SPDX-License-Identifier: Apache-2.0
"""Which names of a request get into the certificate, and what its subject is."""
import dataclasses

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from km.interfaces import Rejected
from km.plugins.certificate_authority.local_ca import profile_values, profiles, wanted_names
from tests.unit.plugins.certificate_authority.local_ca.papers import a_name, alternative, ip

PROFILES = profiles.load(None)
pytestmark = pytest.mark.filterwarnings('ignore:Attribute')  # odd ones, on purpose


def profile(name='server', **changes):
    return dataclasses.replace(PROFILES[name], **changes)


def names(*asked, under=None, subject=None):
    found = wanted_names.names(
        subject or x509.Name([]), alternative(*asked) if asked else None, under or profile())
    return [str(name.value) for name in found]


def subject(asked, *found, under=None):
    under = under or profile()
    named = wanted_names.names(asked, alternative(*found) if found else None, under)
    return wanted_names.subject(asked, named, under)


def refusal(call, *given, **more):
    with pytest.raises(Rejected) as refused:
        call(*given, **more)
    return refused.value.sentence


mail, uri = x509.RFC822Name._init_without_validation, x509.UniformResourceIdentifier


def test_names_keep_their_order_and_domains_become_lower_case():
    assert names('WWW.Example.ORG', ip('10.0.0.1'), 'a', '*.b.example.org') == [
        'www.example.org', '10.0.0.1', 'a', '*.b.example.org']


@pytest.mark.parametrize(('name', 'why'), [
    ('', 'it is empty'), ('.', 'empty label'), ('a.', 'empty label'), ('.a', 'empty label'),
    ('a..b', 'empty label'), ('-a.org', 'hyphens'), ('a-.org', 'hyphens'), ('a_b.org', 'hyphens'),
    ('a b.org', 'hyphens'), ('a\0.org', 'hyphens'), ('a.org\n', 'hyphens'), ('a/b', 'hyphens'),
    ('a' * 64 + '.org', 'longer than 63'), ('.'.join(['a' * 63] * 4), 'longer than 253'),
    ('10.0.0.1', 'last label is a number'), ('*.*.org', 'more than one star'),
    ('*', 'two labels or more'), ('*.org', 'two labels or more'), ('a*.b.org', 'whole label'),
    ('a.*.org', 'whole label'), ('*a.b.org', 'whole label'), ('**.b.org', 'whole label'),
    ('*.b.org.', 'empty label'), ('*..b.org', 'empty label'), ('xn--.org', 'hyphens'),
    ('xn--a.org', 'A-label'), ('xn--abc-.org', 'hyphens'), ('xn--bcher-kvb.org\u0301', 'not ASCII'),
    ('b\xfccher.org', 'not ASCII')])
def test_what_is_no_domain_name_is_refused(name, why):
    said = refusal(names, name)
    assert 'which is not a domain name' in said
    assert why in said
    assert said.isascii()


@pytest.mark.parametrize('name', ['xn--bcher-kva.example', 'xn--strae-oqa.example', 'ab--cd.example',
                                  '0.example', 'localhost', 'a' * 63 + '.org'])
def test_odd_domain_names_are_names_all_the_same(name):
    assert names(name) == [name]


@pytest.mark.parametrize(
    'twice', [('a.org', 'A.org'), (ip('::1'), ip('0:0::1')), ('*.a.org', '*.A.org')])
def test_a_name_twice_is_refused(twice):
    assert 'twice' in refusal(names, *twice)


def test_more_names_than_the_profile_takes_are_refused():
    two = profile(max_names=2)
    assert names('a', 'b', under=two) == ['a', 'b']
    assert refusal(names, 'a', 'b', 'c', under=two) == (
        'The request has 3 names; the profile server takes 2.')


@pytest.mark.parametrize(('kind', 'name'), [
    ('other', x509.OtherName(x509.ObjectIdentifier('1.2.3'), b'\x05\x00')),
    ('directory', x509.DirectoryName(x509.Name([]))),
    ('registered', x509.RegisteredID(x509.ObjectIdentifier('1.2.3')))])
def test_names_of_another_kind_are_refused(kind, name):
    assert 'no domain name, IP address, mail address or URI' in refusal(names, 'a.org', name)


@pytest.mark.parametrize(('patterns', 'allowed', 'refused'), [
    (['*'], ['a', 'a.org', '*.a.org'], []),
    ([], [], ['a', 'a.org', '*.a.org']),
    (['a.org'], ['a.org', 'A.ORG'], ['b.org', 'x.a.org', 'xa.org', '*.a.org', 'a.org.evil.org']),
    (['.a.org'], ['x.a.org', 'y.x.a.org', '*.a.org', '*.x.a.org'], ['a.org', 'xa.org', '*.xa.org']),
    (['*.a.org'], ['x.a.org', '*.a.org'], ['a.org', 'y.x.a.org', '*.x.a.org']),
    (['web-*.a.org'], ['web-1.a.org', 'web-a-b.a.org'],
     ['web.a.org', 'web-1.x.a.org', '*.a.org', 'xweb-1.a.org']),
    (['x.*.org'], ['x.a.org', ], ['y.a.org', '*.a.org', 'x.a.b.org'])])
def test_patterns_allow_these_domains_and_not_those(patterns, allowed, refused):
    under = profile(domains=tuple(map(profile_values.domain_pattern, patterns)))
    for name in allowed:
        assert names(name, under=under) == [name.lower()]
    for name in refused:
        assert 'does not allow the name' in refusal(names, name, under=under)


def test_a_star_may_be_forbidden():
    assert 'names with a star' in refusal(names, '*.a.org', under=profile(wildcards=False))


def test_addresses_are_in_a_range_or_refused():
    under = profile(ip_ranges=tuple(map(profile_values.ip_range, [
        '10.0.0.0/8', 'fd00::/8', '192.0.2.1'])))
    assert names(ip('10.1.2.3'), ip('fd00::1'), ip('192.0.2.1'), under=under)
    for text in ('11.0.0.1', '192.0.2.2', 'fe80::1', '::ffff:11.0.0.1'):
        assert 'does not allow' in refusal(names, ip(text), under=under)


def test_mail_addresses_are_those_of_a_pattern():
    under = profile('client', emails=tuple(map(profile_values.mailbox_pattern, [
        'ann@Example.org', '*@mail.example.org'])))
    assert names(mail('ann@example.ORG'), mail("o'b+x@mail.example.org"), under=under) == [
        'ann@example.org', "o'b+x@mail.example.org"]
    for text in ('bob@example.org', 'Ann@example.org', 'a@x.mail.example.org'):
        assert 'does not allow' in refusal(names, mail(text), under=under)


@pytest.mark.parametrize('text', [
    'ann', 'ann@', '@a.org', 'a b@a.org', '.a@a.org', 'a..b@a.org', 'a@b@c.org', 'a' * 65 + '@a.org',
    'a@*.org', 'a@a.org\0', '"a b"@a.org', 'a@[10.0.0.1]'])
def test_what_is_no_mail_address_is_refused(text):
    under = profile('client', emails=('*@*',))
    assert 'which is not a mail address' in refusal(names, mail(text), under=under)


def test_uris_are_those_of_a_pattern():
    under = profile('client', uris=tuple(map(profile_values.uri_pattern, [
        'spiffe://example.org/ns/*/sa/*', 'https://example.org/**', 'urn:uuid:*'])))
    allowed = ['spiffe://example.org/ns/a/sa/b', 'https://example.org/a/b?c=d', 'urn:uuid:1-2-3']
    assert names(*map(uri, allowed), under=under) == allowed
    for text in (
            'spiffe://example.org/ns/a/b/sa/c', 'spiffe://example.org.evil/ns/a/sa/b',
            'spiffe://evil@example.org/ns/a/sa/b', 'spiffe://example.org/ns/a:b/sa/c',
            'https://example.org.evil/', 'http://example.org/a'):
        assert 'does not allow' in refusal(names, uri(text), under=under)


@pytest.mark.parametrize('text', [
    '', 'a', '/a', 'https:', 'https://', 'https://a.org/\0', 'https://a.org/ b', 'https://a.org/%zz',
    'https://a.org/../b', 'https://a.org/%2e%2e/b', 'https://a.org/a/.', 'https://[::1/', '1a://b',
    'https://a.org/' + 'a' * 2048])
def test_what_is_no_uri_is_refused(text):
    assert 'which is not a URI' in refusal(names, uri(text), under=profile('client', uris=('**',)))


# Common names, and names from them.

def test_a_request_without_names_has_that_of_its_common_name():
    assert names(subject=a_name('WWW.example.org')) == ['www.example.org']
    assert names(subject=a_name('fd00:0::1')) == ['fd00::1']
    assert subject(a_name('fd00:0::1')) == a_name('fd00::1')


@pytest.mark.parametrize('common_name', [None, '', 'The server of Ann', 'b\xfccher.org'])
def test_a_server_without_a_name_is_refused(common_name):
    assert 'is for servers' in refusal(names, subject=a_name(common_name))


def test_a_mail_address_is_no_name_of_a_server():
    assert 'is for servers' in refusal(names, mail('a@b.org'), under=profile(emails=('*@*',)))


def test_a_common_name_that_is_no_domain_name_but_looks_like_one_is_refused():
    assert 'which is not a domain name' in refusal(names, subject=a_name('a_b.org'))
    assert 'does not allow' in refusal(
        names, subject=a_name('a.org'), under=profile(domains=('b.org',)))


@pytest.mark.parametrize(('rule', 'kept'), [
    ('san', 'a.org'), ('san_or_none', 'a.org'), ('first_san', 'b.org'), ('none', None)])
def test_a_common_name_among_the_names_is_dealt_with_by_rule(rule, kept):
    assert subject(a_name('A.org'), 'b.org', 'a.org', under=profile(common_name=rule)) == a_name(kept)


@pytest.mark.parametrize(
    ('rule', 'kept'), [('san_or_none', None), ('first_san', 'b.org'), ('none', None)])
def test_a_common_name_of_another_is_dropped_by_rule(rule, kept):
    assert subject(a_name('a.org'), 'b.org', under=profile(common_name=rule)) == a_name(kept)


def test_a_common_name_of_another_is_refused_by_the_usual_rule():
    assert refusal(subject, a_name('a.org'), 'b.org') == (
        "The common name of the request, 'a.org', is none of its names.")


def test_the_first_name_that_is_short_enough_is_the_common_name():
    long = '.'.join(['a' * 40] * 2)
    under = profile(common_name='first_san')
    assert subject(x509.Name([]), long, 'b.org', under=under) == a_name('b.org')
    assert subject(x509.Name([]), long, under=under) == a_name()


def test_a_client_has_the_common_name_it_asked_for():
    assert subject(a_name('Ann B\xfccher'), under=profile('client')) == a_name('Ann B\xfccher')


@pytest.mark.parametrize('text', ['ann\0admin', 'a' * 65, ' ', 'ann\n', '\u202eann', 'ann\x7f'])
def test_a_common_name_that_cannot_be_shown_is_refused(text):
    assert 'not 1 to 64 characters that can be printed' in refusal(
        subject, a_name(text), under=profile('client'))


def test_an_address_with_a_zone_is_no_address():
    assert 'which is not a domain name' in refusal(names, subject=a_name('fe80::1%eth0'))


def test_two_common_names_are_refused():
    two = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in ('a.org', 'b.org')])
    assert 'more than one common name' in refusal(subject, two, 'a.org')


# Subjects.

def test_nothing_else_of_the_subject_is_taken():
    assert subject(a_name('a.org', O='system:masters', OU='x'), 'a.org') == a_name('a.org')


def test_what_the_profile_says_and_takes_stands_in_the_usual_order():
    under = profile(subject=(('C', 'DE'), ('O', 'Example')), subject_from_csr=('OU',))
    asked = a_name('a.org', O='Evil', OU='Web', C='XX')
    assert subject(asked, 'a.org', under=under) == a_name('a.org', C='DE', O='Example', OU='Web')


@pytest.mark.parametrize('odd', [{'C': 'de'}, {'C': 'DEU'}, {'O': 'a' * 65}, {'O': ''}, {'O': 'a\0b'}])
def test_what_cannot_be_in_a_subject_is_refused(odd):
    assert 'The subject of the request has' in refusal(
        subject, a_name('a.org', **odd), 'a.org', under=profile(subject_from_csr=('C', 'O')))


def test_a_sentence_shows_no_more_of_a_name_than_can_be_read():
    assert len(refusal(names, 'a' * 5000)) < 250
