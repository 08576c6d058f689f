# SPDX-License-Identifier: Apache-2.0
"""A Local CA whose keys are in a token, and what other people's programs say of all that it makes."""
import contextlib
import itertools
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from km.interfaces import CrlRequest, IssueRequest, OcspRequest, RevokeRequest, SubordinateRequest
from km.plugins.certificate_authority.local_ca import building, constraints
from km.plugins.certificate_authority.local_ca.keys import digest_for
from km.plugins.certificate_authority.local_ca.plugin import LocalCa
from km.plugins.secret_store import key_file
from km.testing import open_authority
from tests.functional.certificates.checkers import (
    gnutls_verdict,
    openssl_verdict,
    pyhanko_verdict,
    require_sound_certificate,
    require_sound_crl,
    require_sound_ocsp,
)
from tests.functional.pkcs11_stores import new_master_key, pkcs11_store
from tests.functional.softhsm import softhsm

#: pkilint knows no name with a star, which RFC 9525 allows in a certificate.
STAR = frozenset({'pkix.invalid_domain_name_syntax'})
KEY = ec.generate_private_key(ec.SECP256R1())
_SECONDS = 60


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp('local_ca')
    made.chmod(0o700)
    return made


@pytest.fixture(scope='module')
def hsm(folder):
    """A store on a token of SoftHSM2."""
    with softhsm(folder) as token:
        new_master_key(token.settings)
        with contextlib.closing(pkcs11_store(token.settings, folder)) as store:
            yield store


@pytest.fixture(scope='module')
def opens(folder, hsm):
    """Opens a Local CA on a new database with its keys in the token."""
    numbers = itertools.count()
    with contextlib.ExitStack() as stack:
        def opens(**settings):
            return stack.enter_context(contextlib.closing(open_authority(LocalCa, **{
                'key_stores': {'hsm': hsm}, 'key_store': 'hsm', 'key_bits': 256,
                'connection': f'sqlite:///{folder}/ca{next(numbers)}.sqlite',
                'publication_url': 'http://km.test:9311/pki', 'delta_crl_minutes': 10,
                'subordinate_permitted': ['DNS:{project}.example.org', 'IP:10.0.0.0/8',
                                          'email:example.org', 'URI:.example.org', 'directory:O=Alpha'],
                'subordinate_excluded': ['DNS:not.alpha.example.org'], **settings})))

        yield opens


@pytest.fixture(scope='module')
def ca(opens):
    return opens()


@pytest.fixture(scope='module')
def root(ca):
    return ca.authorities()[0].chain[-1]


@pytest.fixture(scope='module')
def ours(ca):
    """The authority of the project alpha."""
    return ca.make_subordinate(SubordinateRequest(
        authority_id=str(uuid.uuid4()), project_id='alpha', parent='issuing', name='ours',
        subject=x509.Name.from_rfc4514_string('CN=Ours,O=Alpha').public_bytes()))


def an_order(*names, authority='issuing', key=KEY, subject=None, **fields):
    request = x509.CertificateSigningRequestBuilder().subject_name(
        subject or x509.Name([])).add_extension(
        x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    return IssueRequest(order_id=str(uuid.uuid4()), project_id='alpha', authority=authority,
                        csr=request.sign(key, hashes.SHA256()).public_bytes(Encoding.DER), **fields)


def revoke(ca, order, issued, reason, **fields):
    ca.revoke(RevokeRequest(authority=order.authority, order_id=order.order_id, reason=reason,
                            certificate=issued.certificate, revoked_at=now(), **fields))


def now():
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


def loaded(der):
    return x509.load_der_x509_certificate(der)


def issuer_of(issued):
    """The name of an issuer in the URL that a certificate has."""
    points = loaded(issued.certificate).extensions.get_extension_for_class(
        x509.CRLDistributionPoints).value
    return points[0].full_name[0].value.rpartition('/')[2].removesuffix('.crl')


def deltas(ca):
    return [ca.crl(CrlRequest(issuer=issuer, delta=True)).content for issuer in ca.publish()]


def complete(ca):
    return [made.content for made in ca.publish().values()]


def asked(ca, folder, issued, digest, *, nonce=True):
    """The answer to a question of OpenSSL's."""
    for name, der in (('leaf', issued.certificate), ('issuer', issued.chain[0])):
        (folder / f'{name}.pem').write_bytes(loaded(der).public_bytes(Encoding.PEM))
    openssl('ocsp', f'-{digest}', '-issuer', folder / 'issuer.pem', '-cert', folder / 'leaf.pem',
            '-reqout', folder / 'question', *([] if nonce else ['-no_nonce']))
    return ca.ocsp(OcspRequest(
        issuer=issuer_of(issued), content=(folder / 'question').read_bytes())).content


def openssl(*arguments):
    return subprocess.run(['openssl', *map(str, arguments)], check=True, capture_output=True, text=True,
                          timeout=_SECONDS)


def test_root_issuing_authority_and_that_of_a_project_are_sound(ca, root, ours):
    issuing = ca.authorities()[0]
    require_sound_certificate(root, [], root)
    require_sound_certificate(issuing.certificate, issuing.chain, root, crls=complete(ca))
    require_sound_certificate(ours.certificate, ours.chain, root, crls=complete(ca))
    assert ours.chain == (issuing.certificate, root)


@pytest.mark.parametrize(('profile', 'purpose'), [
    ('server', 'sslserver'), ('client', 'sslclient'), ('peer', 'sslserver'), ('peer', 'sslclient')])
def test_what_each_profile_gives_is_sound_to_all_who_look(ca, root, profile, purpose):
    issued = ca.issue(an_order('a.example.org', 'b.example.org', profile=profile))
    require_sound_certificate(issued.certificate, issued.chain, root, purpose=purpose,
                              crls=complete(ca))
    assert pyhanko_verdict(issued.certificate, issued.chain, root,
                           crls=[*complete(ca), *deltas(ca)]) is None


@pytest.mark.parametrize('key', [
    ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)],
    ids=['p-384', 'rsa'])
def test_what_is_under_the_authority_of_a_project_is_sound(ca, root, ours, folder, key):
    issued = ca.issue(an_order('*.www.alpha.example.org', authority=ours.name, key=key))
    require_sound_certificate(issued.certificate, issued.chain, root, purpose='sslserver',
                              crls=complete(ca), allowed=STAR)
    assert require_sound_ocsp(asked(ca, folder, issued, 'sha1'), issued.certificate, issued.chain[0],
                              chain=issued.chain[1:], root=root) == 'good'
    assert pyhanko_verdict(issued.certificate, issued.chain, root,
                           crls=[*complete(ca), *deltas(ca)]) is None


@pytest.mark.parametrize('algorithm', ['rsa', 'ec-521'])
def test_other_keys_in_the_token_are_as_sound(opens, folder, algorithm):
    kind, _, bits = algorithm.partition('-')
    ca = opens(key_algorithm=kind, key_bits=int(bits or 2048))
    issued = ca.issue(order := an_order('a.example.org'))
    require_sound_certificate(issued.certificate, issued.chain, issued.chain[-1], crls=complete(ca))
    revoke(ca, order, issued, 'superseded')
    delta = ca.crl(CrlRequest(issuer=issuer_of(issued), delta=True))
    require_sound_crl(delta.content, issued.chain[0])
    assert require_sound_ocsp(asked(ca, folder, issued, 'sha1'), issued.certificate, issued.chain[0],
                              chain=issued.chain[1:], root=issued.chain[-1]) == 'revoked'


def test_whoever_is_revoked_is_so_for_all_who_look(ca, root, folder):
    order = an_order('a.example.org', key=ec.generate_private_key(ec.SECP256R1()))
    issued, before = ca.issue(order), complete(ca)
    issuer = issued.chain[0]
    for digest in ('sha1', 'sha256'):
        assert require_sound_ocsp(asked(ca, folder, issued, digest), issued.certificate, issuer,
                                  chain=issued.chain[1:], root=root, digest=digest) == 'good'
    revoke(ca, order, issued, 'keyCompromise', invalidity_date=now() - timedelta(days=1))
    delta = ca.crl(CrlRequest(issuer=issuer_of(issued), delta=True)).content
    require_sound_crl(delta, issuer)
    assert 'Key Compromise' in text_of(folder, delta)
    assert openssl_verdict(issued.certificate, issued.chain, root, crls=before) is None
    told = openssl_verdict(issued.certificate, issued.chain, root, crls=before, deltas=deltas(ca))
    assert 'certificate revoked' in told
    for nonce in (True, False):
        answer = asked(ca, folder, issued, 'sha256', nonce=nonce)
        assert require_sound_ocsp(answer, issued.certificate, issuer, chain=issued.chain[1:],
                                  root=root, digest='sha256') == 'revoked'
    assert 'revoked' in pyhanko_verdict(
        issued.certificate, issued.chain, root, crls=[*before, *deltas(ca)], ocsps=[answer])


def text_of(folder, crl):
    (folder / 'crl').write_bytes(crl)
    return openssl('crl', '-inform', 'DER', '-in', folder / 'crl', '-noout', '-text').stdout


def test_a_hold_comes_and_goes(opens, folder):
    ca = opens(delta_crl_minutes=0)
    order = an_order('a.example.org')
    issued = ca.issue(order)
    root = issued.chain[-1]
    for reason, verdict in (('certificateHold', 'Certificate Hold'), ('removeFromCRL', None)):
        revoke(ca, order, issued, reason)
        crl = ca.crl(CrlRequest(issuer=issuer_of(issued))).content
        require_sound_crl(crl, issued.chain[0])
        told = openssl_verdict(issued.certificate, issued.chain, root, crls=complete(ca))
        assert told is None if verdict is None else 'revoked' in told and verdict in text_of(folder, crl)


def test_every_crl_is_sound(ca, root, ours):
    issuers = {loaded(der).subject: der for der in (root, ca.authorities()[0].certificate,
                                                    ours.certificate)}
    for content in (*complete(ca), *deltas(ca)):
        issuer = x509.load_der_x509_crl(content).issuer
        require_sound_crl(content, issuers[issuer])


@pytest.mark.parametrize('names', [
    [x509.DNSName('a.alpha.example.org')], [x509.DNSName('a.beta.example.org')],
    [x509.DNSName('xalpha.example.org')], [x509.DNSName('x.not.alpha.example.org')],
    [x509.RFC822Name('a@example.org')], [x509.RFC822Name('a@sub.example.org')],
    [x509.UniformResourceIdentifier('https://a.example.org/x')],
    [x509.UniformResourceIdentifier('https://a.example.com/x')],
    [x509.DirectoryName(x509.Name.from_rfc4514_string('CN=x,O=Beta'))]],
    ids=lambda names: str(names[0].value))
def test_what_is_not_permitted_to_a_project_is_refused_here_and_by_openssl(ca, root, ours, names):
    issuer = ca._signers.current(ours.name)
    subject = x509.Name.from_rfc4514_string('CN=x,O=Alpha')
    private = ca._keys.private(issuer.key_id)
    builder = building.by(building.valid(
        x509.CertificateBuilder().subject_name(subject).public_key(KEY.public_key()).add_extension(
            x509.SubjectAlternativeName(names), critical=False),
        now(), now() + timedelta(days=1)), issuer.loaded)
    leaf = builder.serial_number(x509.random_serial_number()).sign(
        private, digest_for(private.public_key())).public_bytes(Encoding.DER)
    told = openssl_verdict(leaf, (ours.certificate, *ours.chain), root)
    ours_says = constraints.breach(issuer.above, subject, names)
    assert (told is None) is (ours_says is None), (told, ours_says)
    if isinstance(names[0], x509.DNSName):
        assert (gnutls_verdict(leaf, (ours.certificate, *ours.chain), root) is None) is (told is None)


def test_a_rotation_leaves_what_was_issued_sound(opens):
    ca = opens()
    order = an_order('a.example.org')
    before = ca.issue(order)
    ca.rotate_issuer('issuing')
    after = ca.issue(an_order('a.example.org'))
    root = after.chain[-1]
    assert before.chain[0] != after.chain[0]
    for issued in (before, after):
        require_sound_certificate(issued.certificate, issued.chain, root, crls=complete(ca))
    revoke(ca, order, before, 'superseded')
    told = openssl_verdict(before.certificate, before.chain, root, crls=complete(ca), deltas=deltas(ca))
    assert 'certificate revoked' in told
    assert openssl_verdict(after.certificate, after.chain, root, crls=complete(ca)) is None


def test_what_a_removed_authority_issued_is_refused(opens):
    ca = opens()
    made = ca.make_subordinate(SubordinateRequest(
        authority_id=str(uuid.uuid4()), project_id='alpha', parent='issuing', name='ours',
        subject=x509.Name.from_rfc4514_string('CN=Theirs,O=Alpha').public_bytes()))
    issued = ca.issue(an_order('a.alpha.example.org', authority=made.name))
    ca.publish()
    ca.remove_subordinate(made.name)
    last = ca.crl(CrlRequest(issuer=issuer_of(issued)))
    require_sound_crl(last.content, made.certificate)
    assert last.next_update > loaded(made.certificate).not_valid_after_utc.replace(tzinfo=None)
    told = openssl_verdict(issued.certificate, issued.chain, made.chain[-1], crls=complete(ca))
    assert 'certificate revoked' in told


def test_an_offline_root_of_openssl_signs_the_issuing_authority(opens, folder):
    ca = opens(root='elsewhere')
    (folder / 'request').write_bytes(ca.issuer_request('issuing'))
    (folder / 'extensions').write_text(
        'basicConstraints = critical, CA:TRUE, pathlen:1\nkeyUsage = critical, keyCertSign, cRLSign\n'
        'subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n')
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-keyout',
            folder / 'offline.key', '-out', folder / 'offline.pem', '-subj', '/CN=Offline Root',
            '-days', '3650', '-addext', 'keyUsage=critical,keyCertSign,cRLSign')
    openssl('x509', '-req', '-inform', 'DER', '-in', folder / 'request', '-CA', folder / 'offline.pem',
            '-CAkey', folder / 'offline.key', '-days', '1000', '-extfile', folder / 'extensions',
            '-out', folder / 'issuing.pem')
    issuing, root = (x509.load_pem_x509_certificate(
        (folder / name).read_bytes()).public_bytes(Encoding.DER) for name in (
        'issuing.pem', 'offline.pem'))
    assert 'CN=km Issuing CA' in ca.install_issuer('issuing', issuing, (root,))
    issued = ca.issue(an_order('a.example.org'))
    require_sound_certificate(issued.certificate, issued.chain, root, purpose='sslserver')
    require_sound_crl(complete(ca)[0], issuing)


_PROCESS = """
import sys
from km.interfaces import IssueRequest
from km.plugins.certificate_authority.local_ca.plugin import LocalCa
from km.plugins.secret_store.simple_crypto import SimpleCrypto
from km.testing import open_authority, open_plugin
folder, *orders = sys.argv[1:]
store = open_plugin(SimpleCrypto, kek_file=[f'{folder}/kek'], connection=f'sqlite:///{folder}/soft.sqlite')
csr = open(f'{folder}/csr', 'rb').read()
print('ready', flush=True)
sys.stdin.readline()
ca = open_authority(LocalCa, key_stores={'soft': store}, key_store='soft', key_bits=256,
                    connection=f'sqlite:///{folder}/processes.sqlite')
for order in orders:
    print(ca.issue(IssueRequest(order_id=order, project_id='alpha', authority='issuing', csr=csr)
                   ).certificate.hex(), flush=True)
print(ca.authorities()[0].certificate.hex())
"""


def test_processes_that_start_at_once_on_nothing_are_one_authority_and_issue_once(folder):
    key_file.create(str(folder / 'kek'))
    (folder / 'csr').write_bytes(an_order('a.example.org').csr)
    orders = [str(uuid.uuid4()) for _ in range(5)]
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(subprocess.Popen(
            [sys.executable, '-c', _PROCESS, str(folder), *orders], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)) for _ in range(3)]
        for process in processes:
            assert process.stdout.readline() == 'ready\n'
        for process in processes:
            process.stdin.write('\n')
            process.stdin.flush()
        told = [process.communicate(timeout=_SECONDS)[0] for process in processes]
    assert told[0].count('\n') == len(orders) + 1
    assert told[0] == told[1] == told[2]
