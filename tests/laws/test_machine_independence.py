# SPDX-License-Identifier: Apache-2.0
"""The source is nobody's own: it names no folder of a machine, and says whose licence it has."""
import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Folders that only somebody's own machine has. A path begins after what cannot be part of one.
SOMEBODYS = re.compile(r'(?<![\w.:/~})-])/(?:home|root|work|Users|workspace|mnt/\w)/[\w.-]+')
SPDX = '# SPDX-License-Identifier: Apache-2.0'


def tracked():
    """Every file that git has, or would have with the next ``git add``."""
    said = subprocess.run(
        ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
        cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(path for name in said.stdout.split('\0')
                  if name and (path := ROOT / name).is_file())


TRACKED = tracked()
PYTHON = [path for path in TRACKED if path.suffix == '.py']
#: Of km every folder with source; of the tests those that were made packages.
PACKAGES = sorted({folder for path in PYTHON for folder in path.parents
                   if folder.is_relative_to(ROOT / 'km') or (folder / '__init__.py').is_file()})


def short(path):
    return str(path.relative_to(ROOT))


def test_git_knows_the_files():
    assert len(PYTHON) > 50


def test_no_file_names_a_home_or_work_folder():
    places = [re.escape(str(folder)) for folder in (ROOT, Path.home()) if len(folder.parts) > 2]
    somebodys = re.compile('|'.join([SOMEBODYS.pattern, *places]))
    assert [f'{short(path)}:{number}: {found[0]}' for path in TRACKED
            for number, line in enumerate(path.read_text(errors='replace').splitlines(), 1)
            if (found := somebodys.search(line))] == []


@pytest.mark.parametrize(('line', 'found'), [
    ('cd /' + 'work/main', True), ("path = '/" + "home/ann/km'", True), ('file:/etc/km/kek', False),
    ('https://example.org/' + 'work/x', False), ('tests/' + 'work/x', False)])
def test_the_pattern_finds_folders_and_not_links(line, found):
    assert bool(SOMEBODYS.search(line)) is found


def begins_with_its_licence(path):
    lines = [line for line in path.read_text().splitlines() if not line.startswith('#!')]
    return lines[:1] == [SPDX] or path.name == 'km_folder.py'  # README shows it as it is


def test_every_python_file_begins_with_its_licence():
    assert [short(path) for path in PYTHON if not begins_with_its_licence(path)] == []


def says_what_lives_there(package):
    file = package / '__init__.py'
    return file.is_file() and ast.get_docstring(ast.parse(file.read_text()))


def test_every_package_says_what_lives_there():
    assert [short(folder) for folder in PACKAGES if not says_what_lives_there(folder)] == []
