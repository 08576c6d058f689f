# SPDX-License-Identifier: Apache-2.0
"""What an operator may write of profiles, and what km says of mistakes."""
import dataclasses
import ipaddress
import os
import re
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from km.plugins.certificate_authority.local_ca import profiles
from km.plugins.certificate_authority.local_ca.profiles import Profile

ROOT = Path(__file__).parents[5]
SAMPLE = ROOT / 'etc/km/certificate_profiles.toml.sample'
PAGE = ROOT / 'doc/source/admin/certificate_profiles.rst'
KEYS = {field.name for field in dataclasses.fields(Profile)} - {'name'}


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = tmp_path / 'profiles.toml'
        path.write_text(text)
        return profiles.load(str(path))
    return load


@pytest.fixture
def mistake(load, tmp_path):
    """What is said of a file, without its name."""
    def mistake(text):
        with pytest.raises(ValueError, match='profiles') as wrong:
            load(text)
        begin = f'{tmp_path / "profiles.toml"}: '
        assert str(wrong.value).startswith(begin)
        return str(wrong.value).removeprefix(begin)
    return mistake


def test_without_a_file_there_are_three():
    found = profiles.load(None)
    assert {name: profile.extended_key_usage for name, profile in found.items()} == {
        'server': (ExtendedKeyUsageOID.SERVER_AUTH,), 'client': (ExtendedKeyUsageOID.CLIENT_AUTH,),
        'peer': (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)}
    assert all(name == profile.name for name, profile in found.items())


def test_no_profile_that_is_built_in_contradicts_itself():
    for profile in profiles.BUILT_IN.values():
        assert list(profiles._contradictions(profile)) == []


def test_what_is_loaded_is_nobody_elses():
    profiles.load(None).clear()
    assert len(profiles.load(None)) == 3


def test_a_built_in_profile_is_changed_in_what_is_said(load):
    found = load('[server]\ndefault_validity = "7d"\n')
    assert found['server'] == dataclasses.replace(
        profiles.BUILT_IN['server'], default_validity=timedelta(days=7))
    assert found['client'] == profiles.BUILT_IN['client']


def test_a_new_profile_has_what_it_says_and_otherwise_the_usual(load):
    found = load('[web]\nextended_key_usage = ["serverAuth"]\n')
    assert found['web'] == Profile(name='web', extended_key_usage=(ExtendedKeyUsageOID.SERVER_AUTH,))


def test_every_key_is_read(load):
    found = load("""
        [all]
        extended_key_usage = ['clientAuth', '1.3.6.1.4.1.99999.2']
        key_usage = ['digitalSignature', 'keyAgreement']
        key_types = ['p-256', 'ml-dsa-65']
        min_rsa_bits = 3072
        default_validity = '12h'
        max_validity = '10d'
        backdating = '5m'
        issuer_ends = 'refuse'
        domains = ['A.org', '.b.org', 'c-*.org', '*']
        wildcards = false
        ip_ranges = ['10.0.0.0/8', '::1']
        uris = ['spiffe://example.org/**']
        emails = ['*@Example.org']
        max_names = 3
        common_name = 'csr'
        subject = { OU = ['a', 'b'], O = 'Example' }
        subject_from_csr = ['C']
        policies = ['1.3.6.1.4.1.99999.1']
        short_lived = true
        must_staple = false
        copied_extensions = ['1.3.6.1.4.1.99999.9']
    """)
    assert found['all'] == Profile(
        name='all', extended_key_usage=(
            ExtendedKeyUsageOID.CLIENT_AUTH, x509.ObjectIdentifier('1.3.6.1.4.1.99999.2')),
        key_usage=('digitalSignature', 'keyAgreement'), key_types=('p-256', 'ml-dsa-65'),
        min_rsa_bits=3072, default_validity=timedelta(hours=12), max_validity=timedelta(days=10),
        backdating=timedelta(minutes=5), issuer_ends='refuse',
        domains=('a.org', '.b.org', 'c-*.org', '*'), wildcards=False,
        ip_ranges=(ipaddress.ip_network('10.0.0.0/8'), ipaddress.ip_network('::1')),
        uris=('spiffe://example.org/**',), emails=('*@example.org',), max_names=3, common_name='csr',
        subject=(('O', 'Example'), ('OU', 'a'), ('OU', 'b')), subject_from_csr=('C',),
        policies=(x509.ObjectIdentifier('1.3.6.1.4.1.99999.1'),), short_lived=True, must_staple=False,
        copied_extensions=(x509.ObjectIdentifier('1.3.6.1.4.1.99999.9'),))


def test_a_key_has_the_usages_that_it_can_do():
    profile = dataclasses.replace(profiles.BUILT_IN['server'], key_usage=(
        'digitalSignature', 'keyEncipherment', 'keyAgreement'))
    assert profile.key_usage_of('rsa') == ('digitalSignature', 'keyEncipherment')
    assert profile.key_usage_of('p-256') == ('digitalSignature', 'keyAgreement')
    assert profile.key_usage_of('ed25519') == ('digitalSignature',)
    assert profile.key_usage_of('ml-dsa-44') == ('digitalSignature',)


# Mistakes.

WRONG = {
    'colour = "red"': 'colour: there is no such key',
    'name = "web"': 'name: there is no such key',
    'wildcards = "yes"': 'wildcards: must be true or false',
    'default_validity = 90': 'default_validity: must be a duration such as "90d", "12h" or "15m"',
    'default_validity = "90"': 'default_validity: must be a duration such as "90d", "12h" or "15m"',
    'default_validity = "0d"': 'default_validity: must be more than none, and max_validity at most',
    'default_validity = "398d"': 'default_validity: must be more than none, and max_validity at most',
    'max_validity = "99999d"': 'max_validity: must not be longer than 36500 days',
    'backdating = "25h"': 'backdating: must not be longer than a day',
    'min_rsa_bits = 1024': 'min_rsa_bits: must be a whole number from 2048 to 8192',
    'max_names = true': 'max_names: must be a whole number from 1 to 1000',
    'max_names = 0': 'max_names: must be a whole number from 1 to 1000',
    'issuer_ends = "maybe"': 'issuer_ends: must be one of refuse, cut, allow',
    'common_name = ["san"]': 'common_name: must be one of san, san_or_none, first_san, none, csr',
    'common_name = "csr"':
        'common_name: must not be csr with serverAuth: some clients take it for a domain name',
    'key_types = "rsa"': 'key_types: must be a list',
    'key_types = []': 'key_types: must have one at least',
    'key_types = ["rsa", "rsa"]': 'key_types: has a value twice',
    'key_types = ["dsa"]': 'key_types: must be one of rsa, p-256, p-384, p-521, ed25519, ml-dsa-44, '
                           'ml-dsa-65, ml-dsa-87',
    'key_usage = ["keyCertSign"]':
        'key_usage: must be one of digitalSignature, contentCommitment, keyEncipherment, '
        'dataEncipherment, keyAgreement, encipherOnly, decipherOnly',
    'key_usage = []': 'key_usage: has nothing that a key of type rsa can do',
    'key_usage = ["keyEncipherment"]': 'key_usage: has nothing that a key of type p-256 can do',
    'key_usage = ["digitalSignature", "encipherOnly"]':
        'key_usage: has encipherOnly or decipherOnly, which mean nothing without keyAgreement',
    'extended_key_usage = ["OCSPSigning"]':
        'extended_key_usage: OCSPSigning is for answers of the authority itself',
    'extended_key_usage = ["1.3.6.1.5.5.7.3.9"]':
        'extended_key_usage: OCSPSigning is for answers of the authority itself',
    'extended_key_usage = ["webServer"]':
        "extended_key_usage: 'webServer' is not an OID such as \"1.3.6.1.4.1.99999.1\"",
    'extended_key_usage = ["clientAuth", "timeStamping"]':
        'extended_key_usage: has timeStamping, which must stand alone (RFC 3161, 2.3)',
    'domains = [1]': 'domains: 1 must be a string',
    'domains = ["a_b.org"]': "domains: 'a_b.org' is not a pattern of domain names: a label is not of "
                             'letters, digits and, between them, hyphens',
    'domains = ["*a*.org"]': "domains: '*a*.org' has more than one star in one part",
    'emails = ["a@*.*.org"]': "emails: 'a@*.*.org' has more than one star in one part",
    'uris = ["a:**/b"]': "uris: 'a:**/b' has more than one star in one part",
    'domains = [""]': "domains: '' is not a pattern of domain names: it is empty",
    'domains = []\nip_ranges = []':
        'domains: must allow something with serverAuth, or ip_ranges or uris must',
    'ip_ranges = ["10.0.0.1/8"]':
        "ip_ranges: '10.0.0.1/8' is not a range of addresses such as \"10.0.0.0/8\"",
    'emails = ["example.org"]':
        "emails: 'example.org' is not a pattern of mail addresses such as \"*@example.org\"",
    'emails = ["a@.b.org"]':
        "emails: 'a@.b.org' is not a pattern of mail addresses such as \"*@example.org\"",
    'uris = ["*"]': "uris: '*' is not a pattern of URIs such as \"spiffe://example.org/**\"",
    'subject = "O=Example"': 'subject: must be a table such as { O = "Example", C = "DE" }',
    'subject = { CN = "a" }':
        "subject: does not know 'CN', but DC, C, ST, L, STREET, O, OU, serialNumber, UID",
    'subject = { C = "de" }': 'subject: has C that is not two capital letters (ISO 3166)',
    'subject = { O = "" }': 'subject: has O that is not 1 to 64 characters that can be printed',
    'subject = { O = [["a"]] }': "subject: ['a'] must be a string",
    'subject = { serialNumber = "a*" }': 'subject: has serialNumber with characters that it cannot have',
    'subject = { O = "a" }\nsubject_from_csr = ["O"]':
        'subject_from_csr: has O, which subject has as well',
    'policies = ["1"]': "policies: '1' is not an OID such as \"1.3.6.1.4.1.99999.1\"",
    'copied_extensions = ["2.5.29.19"]': "copied_extensions: '2.5.29.19' is never taken from a request",
    'copied_extensions = ["1.3.6.1.5.5.7.48.1.5"]':
        "copied_extensions: '1.3.6.1.5.5.7.48.1.5' is never taken from a request",
    'short_lived = true': 'max_validity: must not be longer than 10d with short_lived, for nobody will '
                          'know that one was revoked',
    'short_lived = true\nmax_validity = "1d"\ndefault_validity = "1d"\nmust_staple = true':
        'must_staple: must not be true with short_lived, for there is no OCSP answer',
    'short_lived = true\nmax_validity = "1d"\ndefault_validity = "1d"\n'
    'copied_extensions = ["1.3.6.1.5.5.7.1.24"]':
        'copied_extensions: must not have the TLS feature with short_lived, for there is no OCSP answer'}


@pytest.mark.parametrize(('text', 'sentence'), WRONG.items())
def test_a_mistake_is_told_by_profile_and_key(mistake, text, sentence):
    assert mistake(f'[server]\n{text}\n') == f"profile 'server': {sentence}."


def test_a_new_profile_has_to_say_what_it_is_for(mistake):
    assert mistake('[web]\n') == "profile 'web': extended_key_usage: must be said of a new profile."


@pytest.mark.parametrize('usages', [[], ['2.5.29.37.0'], ['clientAuth', '2.5.29.37.0']])
def test_a_common_name_is_not_whatever_a_request_says_where_servers_are_not_left_out(mistake, usages):
    assert mistake(f'[web]\nextended_key_usage = {usages}\ncommon_name = "csr"\n') == (
        "profile 'web': common_name: must not be csr without an extended key usage that leaves "
        'serverAuth out: some clients take it for a domain name.')


@pytest.mark.parametrize('name', ['"Web"', '"a b"', '""', '"-a"', f'"{"a" * 65}"'])
def test_a_profile_has_a_plain_name(mistake, name):
    assert mistake(f'[{name}]\n').startswith('a profile cannot be called ')


def test_what_stands_outside_of_a_profile_is_a_mistake(mistake):
    assert mistake('wildcards = true\n') == "'wildcards' stands outside of every profile."


def test_what_is_no_toml_is_a_mistake(mistake):
    assert mistake('[server\n').startswith('it is not TOML: ')


def test_what_is_no_text_is_a_mistake(tmp_path):
    (tmp_path / 'binary').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(ValueError, match='binary: it is not TOML: '):
        profiles.load(str(tmp_path / 'binary'))


def test_a_file_that_is_not_there_is_a_mistake(tmp_path):
    with pytest.raises(ValueError, match='none: it cannot be read: No such file or directory'):
        profiles.load(os.fspath(tmp_path / 'none'))


# What is shipped.

def test_the_sample_can_be_loaded_and_every_key_has_its_default_there():
    found = profiles.load(str(SAMPLE))
    assert found['everything'] == Profile(
        name='everything', extended_key_usage=found['peer'].extended_key_usage)
    assert set(re.findall(r'^(\w+) = ', SAMPLE.read_text().partition('[everything]')[2].partition(
        '\n\n')[0], re.MULTILINE)) == KEYS


def test_the_example_of_the_page_can_be_loaded(load):
    examples = re.findall(r'\.\. code-block:: toml\n\n((?:    .*\n|\n)+)', PAGE.read_text())
    assert len(examples) == 1
    found = load(re.sub('^    ', '', examples[0], flags=re.MULTILINE))
    assert {'server', 'client', 'peer', 'workload'} == set(found)
    assert found['workload'].short_lived


def test_the_page_explains_every_key_with_its_default():
    explained = re.findall(r'^``(\w+)`` \(|, ``(\w+)`` \(', PAGE.read_text(), re.MULTILINE)
    assert {first or second for first, second in explained} == KEYS
