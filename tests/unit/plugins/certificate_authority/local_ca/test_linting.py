# SPDX-License-Identifier: Apache-2.0
"""Certificates are linted before they are signed."""
import dataclasses
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from km.interfaces import Rejected
from km.plugins.certificate_authority.local_ca import crls, linting, profiles, requests
from tests.unit.plugins.certificate_authority.local_ca.papers import (
    KEY_TYPES,
    NOW,
    a_key,
    a_name,
    a_request,
    an_issuer,
    ip,
)

PROFILES = profiles.load(None)
pytestmark = pytest.mark.filterwarnings('ignore:Attribute')  # odd ones, on purpose


def profile(name='server', **changes):
    return dataclasses.replace(PROFILES[name], key_types=KEY_TYPES, **changes)


def draft(csr, under=None, *, issuer=None, without=()):
    """A builder of the certificate that a request gets."""
    certificate, _ = issuer or an_issuer()
    wanted = requests.wanted(csr, under or profile(), now=NOW, not_after=None,
                             issuer_ends=datetime(2039, 1, 1), details={})
    builder = x509.CertificateBuilder(
        certificate.subject, wanted.subject, wanted.public_key, x509.random_serial_number(),
        wanted.not_before, wanted.not_after)
    for extension, critical in (*wanted.extensions, (crls.key_identifier(certificate), False)):
        if extension.oid not in without:
            builder = builder.add_extension(extension, critical)
    return builder


def refusal(builder, issuer=None):
    with pytest.raises(Rejected) as refused:
        linting.require_clean(builder, (issuer or an_issuer())[0])
    return refused.value.sentence


@pytest.mark.parametrize('name', PROFILES)
@pytest.mark.parametrize('key_type', KEY_TYPES)
def test_what_a_built_in_profile_grants_is_clean(name, key_type):
    csr = a_request('a.example.org', ip('10.0.0.1'), subject=a_name('a.example.org'),
                    key=a_key(key_type))
    linting.require_clean(draft(csr, profile(name)), an_issuer()[0])


@pytest.mark.parametrize('key_type', KEY_TYPES)
def test_it_is_clean_under_an_issuer_of_any_type(key_type):
    issuer = an_issuer(key_type)
    linting.require_clean(draft(a_request('a.example.org'), issuer=issuer), issuer[0])


@pytest.mark.parametrize('changes', [
    {'subject': (('DC', 'org'), ('DC', 'example'), ('C', 'DE'), ('ST', 'Bayern'), ('L', 'Hof'),
                 ('STREET', 'Am Tor 1'), ('O', 'B\xfccher'), ('OU', 'Web'), ('serialNumber', '12-3'),
                 ('UID', 'web'))},
    {'policies': (x509.ObjectIdentifier('1.3.6.1.4.1.99999.1'),)}, {'short_lived': True},
    {'must_staple': True}, {'extended_key_usage': ()},
    {'extended_key_usage': (ExtendedKeyUsageOID.TIME_STAMPING,)},
    {'extended_key_usage': (x509.ObjectIdentifier('1.3.6.1.4.1.99999.1'),)},
    {'key_usage': ('digitalSignature', 'contentCommitment', 'keyEncipherment', 'dataEncipherment',
                   'keyAgreement')}], ids=str)
@pytest.mark.parametrize('key_type', ['rsa', 'p-256', 'ed25519', 'ml-dsa-44'])
def test_whatever_a_profile_may_ask_for_is_clean(changes, key_type):
    csr = a_request('a.example.org', key=a_key(key_type))
    linting.require_clean(draft(csr, profile(**changes)), an_issuer()[0])


LABEL = st.text('abz019-', min_size=1, max_size=63)
NAME = st.lists(LABEL, min_size=1, max_size=6).map('.'.join) | st.from_regex(
    r'\A(\*\.)?(xn--)?[a-zA-Z0-9]{1,9}(\.[a-z][a-z0-9-]{0,9}){1,3}\Z')


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(NAME, min_size=1, max_size=3), st.text(max_size=70), st.text(max_size=70))
def test_whatever_is_granted_is_clean(asked, common_name, unit):
    subject = a_name(common_name, OU=unit)
    under = profile('client', wildcards=True, subject_from_csr=('OU',))
    try:
        builder = draft(a_request(*asked, subject=subject), under)
    except (Rejected, ValueError):  # not granted; no request can say that
        return
    linting.require_clean(builder, an_issuer()[0])


ODD = {'one label': a_request('localhost'), 'a star': a_request('*.example.org'),
       'a scheme': a_request(x509.UniformResourceIdentifier('spiffe://example.org/a'))}


@pytest.mark.parametrize('csr', ODD.values(), ids=ODD)
def test_what_is_usual_in_private_networks_is_allowed(csr):
    linting.require_clean(draft(csr, profile(uris=('**',))), an_issuer()[0])


@pytest.mark.parametrize('csr', ODD.values(), ids=ODD)
def test_the_linter_would_not_allow_it(csr, monkeypatch):
    monkeypatch.setattr(linting, 'ALLOWED', frozenset())
    assert 'pkix.invalid_' in refusal(draft(csr, profile(uris=('**',))))


@pytest.mark.parametrize(('without', 'finding'), [
    (x509.AuthorityKeyIdentifier, 'pkix.authority_key_identifier_extension_absent'),
    (x509.SubjectKeyIdentifier, 'pkix.certificate_skid_end_entity_missing')])
def test_a_certificate_that_lacks_something_is_refused(without, finding):
    assert finding in refusal(draft(a_request('a.example.org'), without=(without.oid,)))


def test_the_sentence_says_what_is_wrong_and_where():
    csr = a_request('a.example.org', subject=a_name('a.example.org'))
    builder = draft(csr, without=(x509.SubjectAlternativeName.oid,)).add_extension(
        x509.SubjectAlternativeName([x509.DNSName('a_b.example.org')]), critical=True)
    assert refusal(builder) == (
        'The certificate would not be as RFC 5280 wants it: '
        'pkix.san_extension_is_critical_non_empty_subject at certificate.tbsCertificate.extensions.5.')


def test_several_threads_may_lint_at_once():
    builder, (issuer, _) = draft(a_request('a.example.org')), an_issuer()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: linting.require_clean(builder, issuer), range(40))) == [None] * 40


def test_without_pkilint_it_is_the_option_that_is_wrong():
    program = ("import sys; sys.modules['pkilint'] = None\n"
               'from km.interfaces import Misconfigured\n'
               'from km.plugins.certificate_authority.local_ca import linting\n'
               'try:\n'
               "    linting.require_installed('[certificate_authority:ours] lint')\n"
               'except Misconfigured as error:\n'
               '    print(error.sentence)\n')
    said = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    assert said.stdout == ('[certificate_authority:ours] lint: linting needs more packages: '
                           'pip install "km[local-ca]".\n')


def test_with_pkilint_nothing_is_wrong():
    linting.require_installed('[certificate_authority:ours] lint')
