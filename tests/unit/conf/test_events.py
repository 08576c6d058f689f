# SPDX-License-Identifier: Apache-2.0
"""Which events there are, and which of them an operator can choose."""
import re
from pathlib import Path

import pytest
from oslo_config import cfg

import km
from km.conf import events


def a_conf(folder, text):
    path = folder / 'km.conf'
    path.write_text(text)
    conf = cfg.ConfigOpts()
    conf.register_opts(events.OPTIONS, group='events')
    conf.register_opts(events.NOTIFIER_INSTANCE_OPTIONS, group='notifier:a')
    conf([], default_config_files=[str(path)], default_config_dirs=[])
    return conf


def test_everything_is_told_by_default_but_who_reads_a_payload(folder):
    conf = a_conf(folder, '')
    assert set(events.KINDS) - set(conf.events.kinds) == {'secret.read'}
    assert conf['notifier:a'].kinds is None
    assert (conf.events.expiring_days, conf.events.most_age_days) == ([7, 3, 1], 7)


def test_a_kind_that_there_is_not_is_refused(folder):
    conf = a_conf(folder, '[events]\nkinds = secret.created, secret.made\n[notifier:a]\nkinds = order\n')
    for section in ('events', 'notifier:a'):
        with pytest.raises(ValueError, match=r'secret\.made|order'):
            conf[section].kinds  # noqa: B018


def test_the_days_are_whole_ones(folder):
    assert a_conf(folder, '[events]\nexpiring_days = 30,14\n').events.expiring_days == [30, 14]
    with pytest.raises(ValueError, match='0'):
        a_conf(folder, '[events]\nexpiring_days = 0\n').events.expiring_days  # noqa: B018


def test_every_event_that_km_tells_of_is_one_that_can_be_chosen():
    told = {found for path in Path(km.__file__).parent.glob('lifecycle/*.py')
            for found in re.findall(r"'((?:secret|container|certificate|order)\.[a-z_]+)'",
                                    path.read_text())}
    assert {'secret.created', 'container.deleted'} <= told
    assert told <= set(events.KINDS)
