# SPDX-License-Identifier: Apache-2.0
"""What an operator can get wrong, and is told before km starts."""
import pytest

from km.interfaces import Misconfigured

KEY = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W'


def wrong(opened, **options):
    """The sentence that a wrong option is told by."""
    with pytest.raises(Misconfigured) as refused:
        opened(**options)
    assert refused.value.sentence.startswith('[certificate_authority:plugin] ')
    return refused.value.sentence.removeprefix('[certificate_authority:plugin] ')


@pytest.fixture
def key_file(folder):
    path = folder / 'eab'
    path.touch(mode=0o600)
    path.write_text(f'{KEY}\n')
    return path


@pytest.mark.parametrize('url', ['http://a.test/dir', 'a.test', 'https://', 'https://u:p@a.test/'])
def test_the_directory_is_a_url_of_https(opened, url):
    assert wrong(opened, directory_url=url).startswith('directory_url: ')


def test_the_key_store_must_be_there_and_sign(opened):
    assert wrong(opened, key_store='hard') == (
        "key_store: 'hard' is no enabled secret store that can sign.")


@pytest.mark.parametrize('content', [None, '', 'nonsense'])
def test_the_file_of_authorities_must_hold_some(opened, folder, content):
    path = folder / 'authorities.pem'
    if content is not None:
        path.write_text(content)
    assert wrong(opened, ca_file=str(path)).startswith(f'ca_file: {path} ')


@pytest.mark.parametrize('connection', ['nonsense', 'nodb://a/b', 'sqlite://'])
def test_the_connection_is_a_url_of_a_database(opened, connection):
    assert wrong(opened, connection=connection).startswith('connection: ')


def test_the_shortest_wait_is_not_longer_than_the_longest(opened):
    assert wrong(opened, poll_min_seconds=10, poll_max_seconds=5).startswith('poll_min_seconds: ')


def test_an_external_account_is_an_id_and_a_key(opened, key_file):
    assert 'set both or neither' in wrong(opened, eab_key_id='kid')
    assert 'set both or neither' in wrong(opened, eab_key_file=str(key_file))


@pytest.mark.parametrize('mode', [0o604, 0o620, 0o666, 0o601])
def test_the_key_of_an_external_account_is_nobody_elses(opened, key_file, mode):
    key_file.chmod(mode)
    assert 'mode to 0400' in wrong(opened, eab_key_id='kid', eab_key_file=str(key_file))


def test_a_link_to_the_key_of_an_external_account_is_not_followed(opened, key_file, folder):
    (folder / 'link').symlink_to(key_file)
    assert 'cannot be read' in wrong(opened, eab_key_id='kid', eab_key_file=f'{folder}/link')
    assert 'regular file' in wrong(opened, eab_key_id='kid', eab_key_file=str(folder)).replace(
        'cannot be read', 'regular file')


@pytest.mark.parametrize('text', ['', 'c2hvcnQ', 'not base64url !!!', 'ä' * 40])
def test_the_key_of_an_external_account_is_one_and_never_told(opened, key_file, text):
    key_file.write_text(text)
    sentence = wrong(opened, eab_key_id='kid', eab_key_file=str(key_file))
    assert sentence.startswith(f'eab_key_file: {key_file} does not hold an HMAC key')
    assert not text or text not in sentence


def test_the_key_of_an_external_account_signs_and_is_not_shown(opened, key_file, server):
    acme = opened(eab_key_id='kid', eab_key_file=str(key_file))
    acme.check()
    assert server.posted('/newAccount')[0]['externalAccountBinding'].keys() == {
        'protected', 'payload', 'signature'}
    assert KEY not in repr(vars(acme)) + repr(acme._config)


def test_mail_addresses_become_urls_and_urls_stay(opened, server):
    opened(contact=['ann@a.test', 'mailto:bob@a.test'], terms_of_service_agreed=True).check()
    assert server.posted('/newAccount') == [{
        'contact': ['mailto:ann@a.test', 'mailto:bob@a.test'], 'termsOfServiceAgreed': True}]
