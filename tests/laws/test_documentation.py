# SPDX-License-Identifier: Apache-2.0
"""What the pages tell an operator to write and to run is what km understands."""
import re
from pathlib import Path

import pytest

from km.cmd import manage
from km.conf.load import load

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / 'README.rst', *sorted((ROOT / 'doc/source').rglob('*.rst')),
         ROOT / 'examples/km-age/README.rst']
INI = re.compile(r'\.\. code-block:: ini\n\n((?:    .*\n|\n)+)')
COMMAND = re.compile(r'^ +km-manage (?!--)([^#\n]+)', re.MULTILINE)


def blocks():
    return [(page.name, block) for page in PAGES for block in INI.findall(page.read_text())]


def commands():
    return sorted({(page.name, found.strip()) for page in PAGES
                   for found in COMMAND.findall(page.read_text())})


def test_there_is_something_to_look_at():
    assert len(blocks()) >= 3
    assert len(commands()) >= 4


@pytest.mark.parametrize(('page', 'block'), blocks())
def test_a_configuration_in_a_page_can_be_read(folder, page, block):
    path = folder / 'km.conf'
    text = re.sub('^    ', '', block, flags=re.MULTILINE)
    if '[database]' not in text:  # a page about one subject shows its sections alone
        text += '[database]\nconnection = sqlite://\n'
    path.write_text(text)
    conf = load(files=[str(path)])
    for section, name in re.findall(r'^\[(\w+)\]\n(\w+) =', path.read_text(), re.MULTILINE):
        if section in conf:
            assert name in conf[section], f'[{section}] {name}'


@pytest.mark.parametrize(('page', 'command'), commands())
def test_a_command_in_a_page_is_one(page, command):
    assert manage.parser().parse_args(command.split()).run
