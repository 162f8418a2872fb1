"""docs/conformance.md holds what the suite has found, and names tests that there are."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.conformance.table import Table

DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"


def test_the_document_holds_the_table_as_it_is(table: Table):
    if not table.whole:
        pytest.skip("only a whole run fills the table")
    assert "\n".join(table.lines()) in DOCUMENT.read_text()


@pytest.mark.parametrize("package", ["openai", "anthropic"])
def test_the_document_names_the_sdks_that_were_used(package: str):
    assert f"{package} {version(package)}" in DOCUMENT.read_text()


def test_the_document_names_the_older_lines_that_were_used(table: Table):
    if not table.older:
        pytest.skip("no call of an older line was made")
    text = DOCUMENT.read_text()
    assert [name for name in table.older if name not in text] == []


def test_every_test_that_the_document_names_is_there():
    named = set(re.findall(r"`(test_\w+)`", DOCUMENT.read_text()))
    traps = Path(__file__).parent / "traps"
    found = "".join(file.read_text() for file in traps.glob("test_*.py"))
    assert named
    assert [name for name in sorted(named) if f"def {name}(" not in found] == []
