# SPDX-License-Identifier: Apache-2.0
"""Certificates of a second real ACME authority, acme2certifier: when to renew, renewing, its CRL.

It looks at every proof, and wants an external account. It takes ``replaces`` of an order without a word.
"""
import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from km.interfaces import Rejected, RevokeRequest
from km.plugins.certificate_authority.acme.plugin import Acme
from km.plugins.challenge_responder.dns_01 import Dns01
from km.plugins.challenge_responder.http_01 import Http01
from km.testing import MemoryKeyStore, open_authority, open_plugin
from tests.functional.certificates.acme2certifier_server import run_acme2certifier
from tests.functional.certificates.acme_client import again, an_order, certificate, finished, names
from tests.functional.certificates.bind_server import run_bind
from tests.functional.servers import HOST

EAB_KEY = 'b1dRM0pVdFdXQ1BqYnJ4cTN2bVZ6dVRrS3E0c2pMYWI'
RETRY_AFTER = 7200
#: It would have a certificate renewed in the last two fifths of its thirty days.
THRESHOLD = timedelta(days=18)


@pytest.fixture(scope='module')
def bind(tmp_path_factory):
    with run_bind(tmp_path_factory.mktemp('bind')) as server:
        yield server


@pytest.fixture(scope='module')
def server(acme2certifier_venv, bind, tmp_path_factory):
    with run_acme2certifier(
            tmp_path_factory.mktemp('acme2certifier'), acme2certifier_venv, dns_port=bind.port,
            eab={'kid-1': EAB_KEY}, retry_after=RETRY_AFTER) as server:
        yield server


@pytest.fixture
def responders(server, bind, folder):
    for name in ('http', 'dns'):
        (folder / name).mkdir(mode=0o700)
    http = open_plugin(Http01, path=str(folder / 'http'), listen=f'{HOST}:{server.http_port}')
    dns = open_plugin(Dns01, path=str(folder / 'dns'), **bind.options())
    with contextlib.closing(http), contextlib.closing(dns):
        yield {'http': http, 'dns': dns}


def opened(server, folder, responders, key=EAB_KEY):
    key_file = folder / 'eab'
    key_file.touch(mode=0o600)
    key_file.write_text(key)
    return open_authority(
        Acme, key_stores={'soft': open_plugin(MemoryKeyStore)}, responders=responders,
        directory_url=server.directory_url, ca_file=str(server.ca_file), key_store='soft',
        connection=f'sqlite:///{folder}/acme.sqlite', contact=['ops@example.org'],
        terms_of_service_agreed=True, eab_key_id='kid-1', eab_key_file=str(key_file))


@pytest.fixture
def acme(server, folder, responders):
    with contextlib.closing(opened(server, folder, responders)) as authority:
        yield authority


def require_issued(issued, server):
    """Insist that the server's issuer signed a certificate, and that its chain says so."""
    assert [x509.load_der_x509_certificate(one) for one in issued.chain] == [server.issuer]
    certificate(issued).verify_directly_issued_by(server.issuer)


def revocation(issued, reason):
    return RevokeRequest(authority='plugin', order_id=an_order('x.test').order_id, reason=reason,
                         certificate=issued.certificate,
                         revoked_at=datetime.now(UTC).replace(tzinfo=None))


def test_a_name_is_proved_by_a_page(acme, server):
    order = an_order('page.test')
    issued = finished(acme, order)
    assert names(issued) == ['page.test']
    assert certificate(issued).public_key() == x509.load_der_x509_csr(order.csr).public_key()
    require_issued(issued, server)


def test_a_wildcard_and_its_domain_are_proved_in_one_order(server, folder, responders, bind):
    before = bind.serial()
    with contextlib.closing(opened(server, folder, {'dns': responders['dns']})) as acme:
        issued = finished(acme, an_order('*.wild.test', 'wild.test'))
    assert names(issued) == ['*.wild.test', 'wild.test']
    require_issued(issued, server)
    assert bind.serial() > before
    assert bind.texts('_acme-challenge.wild.test') == []


def test_a_page_that_is_not_there_proves_nothing(acme, responders, server, monkeypatch):
    monkeypatch.setattr(responders['http'], 'present', lambda challenge: 0)
    before = server.issued()
    with pytest.raises(Rejected, match=r'failed at the authority: absent\.test'):
        finished(acme, an_order('absent.test'))
    assert server.issued() == before


def test_an_account_with_a_wrong_key_of_an_external_one_is_refused(server, folder, responders):
    with contextlib.closing(opened(server, folder, responders, key=EAB_KEY[::-1])) as acme:
        with pytest.raises(Rejected) as refused:
            acme.check()
        assert EAB_KEY[::-1] not in refused.value.sentence


def test_it_tells_when_to_renew_and_when_to_ask_again(acme):
    issued = finished(acme, an_order('window.test'))
    window = acme.renewal_window(issued.certificate)
    begin = certificate(issued).not_valid_before_utc.replace(tzinfo=None)
    end = certificate(issued).not_valid_after_utc.replace(tzinfo=None)
    assert abs(window.start - (begin + THRESHOLD)) < timedelta(minutes=5)
    assert window.start < window.end <= end
    assert window.ask_after_seconds == RETRY_AFTER


def test_it_tells_nothing_of_what_it_never_issued(acme, server):
    assert acme.renewal_window(server.issuer.public_bytes(Encoding.DER)) is None


def test_an_order_that_replaces_a_certificate_gives_another_for_the_same_names(acme, server):
    first = finished(acme, an_order('renewed.test'))
    second = finished(acme, an_order('renewed.test', replaces=first.certificate))
    assert names(second) == names(first)
    assert certificate(second).serial_number != certificate(first).serial_number
    require_issued(second, server)


def test_an_order_that_is_asked_for_again_gives_one_certificate(acme, server):
    order, before = an_order('once.test'), server.issued()
    acme.issue(order)
    assert names(finished(acme, again(order))) == ['once.test']
    assert server.issued() == before + 1


def test_a_revoked_certificate_is_in_its_crl_once(acme, server):
    kept, gone = (finished(acme, an_order(name)) for name in ('kept.test', 'gone.test'))
    acme.revoke(revocation(gone, 'keyCompromise'))
    acme.revoke(revocation(gone, 'keyCompromise'))
    revoked = [entry.serial_number for entry in server.crl()]
    assert revoked.count(certificate(gone).serial_number) == 1
    assert certificate(kept).serial_number not in revoked
