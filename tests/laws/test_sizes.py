# SPDX-License-Identifier: Apache-2.0
"""A function fits a screen, a file a sitting, and a name says what a thing does."""
import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 40

FILES = sorted(path for room in ('km', 'tests', 'examples') for path in (ROOT / room).rglob('*')
               if path.is_file() and '__pycache__' not in path.parts)
SOURCES = [path for path in FILES if path.suffix == '.py']
OURS = [path for path in SOURCES if not {'tests', 'versions'} & set(
    path.relative_to(ROOT).parts)]  # a migration is a list

_SAYS_NOTHING = re.compile(r'(utils?|commons?|helpers?|managers?|misc|base)\Z')


def short(path):
    return str(path.relative_to(ROOT))


def test_there_is_something_to_measure():
    assert len(OURS) > 40


def test_no_file_is_longer_than_a_sitting():
    lengths = {short(path): path.read_bytes().count(b'\n') for path in FILES}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FILE} == {}


@pytest.mark.parametrize('path', OURS, ids=short)
def test_no_function_is_longer_than_a_screen(path):
    functions = [node for node in ast.walk(ast.parse(path.read_text()))
                 if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert {node.name: lines for node in functions
            if (lines := node.end_lineno - node.lineno + 1) > MOST_LINES_OF_A_FUNCTION} == {}


def test_no_module_has_a_name_that_says_nothing():
    names = {short(path): (path.parent.name if path.stem == '__init__' else path.stem)
             for path in SOURCES}
    assert [path for path, name in names.items()
            if any(_SAYS_NOTHING.match(word) for word in name.split('_'))] == []


def test_no_class_is_a_manager_or_a_helper():
    assert [f'{short(path)}: {node.name}' for path in OURS
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ClassDef) and re.search('Manager|Helper|Util', node.name)] == []
