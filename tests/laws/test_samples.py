# SPDX-License-Identifier: Apache-2.0
"""The samples in ``etc/km`` are what the generators write today."""
import subprocess
import sys
from pathlib import Path

import pytest

from km.conf.load import load
from km.testing.application import write_conf

ROOT = Path(__file__).parents[2]
SAMPLES = {
    'km.conf.sample': ('oslo-config-generator', 'etc/km/km-config-generator.conf', 'genconfig'),
    'policy.yaml.sample': (
        'oslopolicy-sample-generator', 'etc/km/km-policy-generator.conf', 'genpolicy')}


@pytest.fixture(params=SAMPLES)
def sample(request):
    return request.param


def generated(sample, folder):
    generator, config, _ = SAMPLES[sample]
    written = folder / sample
    said = subprocess.run(
        [Path(sys.executable).with_name(generator), '--config-file', config,
         '--output-file', written], cwd=ROOT, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    return written.read_text()


def test_a_sample_is_what_its_generator_writes(sample, tmp_path):
    kept = (ROOT / 'etc' / 'km' / sample).read_text()
    assert kept.splitlines() == generated(sample, tmp_path).splitlines(), (
        f'etc/km/{sample} is out of date: run "tox -e {SAMPLES[sample][2]}"')


def test_a_generator_puts_a_sample_where_the_test_looks_for_it(sample):
    assert f'output_file = etc/km/{sample}\n' in (ROOT / SAMPLES[sample][1]).read_text()


def test_the_quotas_that_are_shipped_as_an_example_can_be_used(folder):
    example = ROOT / 'etc/km/km.conf.d/quotas.conf.sample'
    conf = load(files=[str(write_conf(folder)), str(example)])
    assert dict(conf.quotas) == {
        'secrets': 20, 'orders': 20, 'containers': 20, 'consumers': 20, 'cas': 10}


@pytest.mark.parametrize('section', [
    'api', 'database', 'keystone_notifications', 'orders', 'quotas', 'worker',
    'secret_store', 'secret_store:simple_crypto',
    'rpc_transport', 'metrics', 'audit', 'audit_middleware_notifications', 'keystone_authtoken',
    'oslo_policy', 'oslo_middleware', 'cors', 'healthcheck'])
def test_the_sample_has_every_section_an_operator_can_set(section):
    assert f'\n[{section}]\n' in (ROOT / 'etc/km/km.conf.sample').read_text()


def test_the_samples_know_nothing_of_the_machine_they_were_made_on(sample, tmp_path):
    text = generated(sample, tmp_path)
    for place in (str(ROOT), str(Path.home()), sys.prefix, str(tmp_path)):
        assert place not in text
