# SPDX-License-Identifier: Apache-2.0
"""The options of an EJBCA: what cannot work is told by section and option before anything is asked."""
import pytest
from oslo_config import cfg

from km.interfaces import Misconfigured, NotSupported
from km.plugins.certificate_authority.ejbca.options import OPTIONS, EjbcaSettings, Profile
from tests.functional.certificates import Authority


@pytest.fixture
def right(folder):
    """Options that can work."""
    authority = Authority(folder)
    authority.client('km')
    authority.client('other')
    (folder / 'secret').touch(mode=0o600)
    (folder / 'secret').write_text('hidden\n')
    return {'url': 'https://ca.test:8443/ejbca/ejbca-rest-api/', 'ca_file': f'{folder}/ca.pem',
            'anchors_file': f'{folder}/ca.pem', 'client_certificate_file': f'{folder}/km.pem',
            'client_key_file': f'{folder}/km.key', 'certificate_authority': 'Sub CA',
            'certificate_profile': 'SERVER', 'end_entity_profile': 'Hosts'}


def looked_at(options):
    conf = cfg.ConfigOpts()
    conf.register_opts(OPTIONS, group='ejbca')
    for name, value in options.items():
        conf.set_override(name, value, group='ejbca')
    conf([])
    return EjbcaSettings('blue', conf.ejbca)


def by_token(options, folder):
    return {**{name: value for name, value in options.items() if not name.startswith('client_')},
            'token_url': 'https://id.test/token', 'client_id': 'km',
            'client_secret_file': f'{folder}/secret'}


def test_a_certificate_or_a_token_will_do(right, folder):
    settings = looked_at(right)
    assert (settings.by_certificate, settings.by_token, settings.token_url) == (True, False, None)
    assert settings.url == 'https://ca.test:8443/ejbca/ejbca-rest-api'
    settings = looked_at(by_token(right, folder))
    assert (settings.by_certificate, settings.by_token) == (False, True)
    assert settings.client_secret() == 'hidden'
    assert looked_at({**right, **by_token(right, folder)}).by_certificate


def test_profiles_are_pairs_by_a_name(right):
    settings = looked_at({**right, 'profiles': {'people': 'CLIENT / End users'}})
    assert settings.profile(None) == Profile('SERVER', 'Hosts')
    assert settings.profile('people') == Profile('CLIENT', 'End users')
    with pytest.raises(NotSupported):
        settings.profile('SERVER')


def test_profiles_are_read_from_a_file_as_the_page_says(folder):
    path = folder / 'km.conf'
    path.write_text('[ejbca]\nprofiles = people:CLIENT/End users, web:SERVER/Hosts\n')
    conf = cfg.ConfigOpts()
    conf.register_opts([one for one in OPTIONS if one.name == 'profiles'], group='ejbca')
    conf([f'--config-file={path}'])
    assert conf.ejbca.profiles == {'people': 'CLIENT/End users', 'web': 'SERVER/Hosts'}


@pytest.mark.parametrize(('wrong', 'sentence'), [
    ({'url': 'http://ca.test'}, 'url: it must be a URL that begins with https'),
    ({'url': 'https://'}, 'url: '), ({'url': 'https://a:b@ca.test/'}, 'url: '),
    ({'url': 'https://ca.test:x/'}, 'url: '), ({'url': 'https://ca.test/?a=b'}, 'url: '),
    ({'client_key_file': None}, 'client_key_file: it goes together with client_certificate_file'),
    ({'client_key_file': None, 'client_certificate_file': None}, 'client_certificate_file: set this'),
    ({'token_url': 'https://id.test/'}, 'client_id: it goes together with token_url'),
    ({'profiles': {'a': 'SERVER'}}, "profiles: 'a' needs a certificate profile"),
    ({'profiles': {'a': '/Hosts'}}, "profiles: 'a' needs"),
    ({'profiles': {'a': 'b/c/d'}}, "profiles: 'a' needs"),
    ({'ca_file': '{folder}/none'}, 'ca_file: .*/none cannot be read'),
    ({'ca_file': '{folder}/km.key'}, 'ca_file: .* does not hold what it should'),
    ({'anchors_file': '{folder}/none'}, 'anchors_file: .* cannot be read'),
    ({'anchors_file': '{folder}/km.key'}, 'anchors_file: .* holds no certificates'),
    ({'client_certificate_file': '{folder}/km.key'}, 'client_certificate_file: .* does not hold'),
    ({'client_key_file': '{folder}/other.key'}, 'client_key_file: .* is not the key of client_cert'),
    ({'client_key_file': '{folder}/none'}, 'client_key_file: .* cannot be read'),
], ids=str)
def test_a_mistake_is_told_by_its_option(right, folder, wrong, sentence):
    wrong = {name: value.format(folder=folder) if isinstance(value, str) else value
             for name, value in wrong.items()}
    with pytest.raises(Misconfigured, match=r'\A\[certificate_authority:blue\] ' + sentence):
        looked_at({**right, **wrong})


@pytest.mark.parametrize('option', ['client_key_file', 'client_secret_file'])
def test_a_secret_that_everybody_may_read_is_not_used(right, folder, option):
    options = by_token(right, folder) if option == 'client_secret_file' else right
    (folder / options[option].rpartition('/')[2]).chmod(0o604)
    with pytest.raises(Misconfigured, match=f'{option}: .* may be read or written by everybody'):
        looked_at(options)


def test_an_empty_secret_is_none(right, folder):
    (folder / 'secret').write_text('\n')
    with pytest.raises(Misconfigured, match=r'client_secret_file: .* is empty'):
        looked_at(by_token(right, folder))


def test_passwords_are_the_same_each_time_and_of_one_name_and_one_key(right, folder):
    settings, again = looked_at(right), looked_at(right)
    assert settings.password('km-1') == again.password('km-1')
    other = looked_at(by_token(right, folder))
    assert len({settings.password('km-1'), settings.password('km-2'), other.password('km-1')}) == 3
