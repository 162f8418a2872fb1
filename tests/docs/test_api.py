"""docs/api.md holds every route, header and error code that an application meets under /v1."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from torana import errors
from torana.inference.answers import DROPPED_HEADER, SCHEMA_HEADER
from torana.inference.cache_terms import CACHE_HEADER
from torana.web.anthropic.messages import COUNT_HEADER
from torana.web.labels import (
    IDEMPOTENCY_HEADER,
    REGION_HEADER,
    STRICT_HEADER,
    TAGS_HEADER,
    TIMEOUT_HEADER,
)

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
HEADERS = (
    DROPPED_HEADER,
    SCHEMA_HEADER,
    COUNT_HEADER,
    STRICT_HEADER,
    TAGS_HEADER,
    IDEMPOTENCY_HEADER,
    CACHE_HEADER,
    REGION_HEADER,
    TIMEOUT_HEADER,
)
NEVER_TOLD = {
    "caller_gone",  # Nobody is there.
    "configuration_error",  # For the operator.
    "conflict",  # Of the management API, as the next.
    "validation_failed",
    "unwritable_row",  # The row of a call that is over.
    "upstream_rate_limited",  # Told as `rate_limit_exceeded`.
}


def tree(kind: type[errors.ToranaError]) -> Iterator[type[errors.ToranaError]]:
    yield kind
    for inner in kind.__subclasses__():
        yield from tree(inner)


CODES = {kind.code: kind.status for kind in tree(errors.ToranaError)}
ROUTES = [
    found
    for path in sorted((ROOT / "src" / "torana" / "web").rglob("*.py"))
    for found in re.findall(r'"(GET|POST|DELETE)",\n    "(/v1/[^"]+)"', path.read_text())
]


@pytest.mark.parametrize("name", HEADERS)
def test_every_header_is_documented(name):
    assert f"`{name}`" in DOCUMENT


@pytest.mark.parametrize("code", sorted(CODES.keys() - NEVER_TOLD - {"upstream_rejected"}))
def test_every_error_code_is_documented_with_its_status(code):
    rows = re.findall(r"^\| (\d{3}[^|]*) \|[^|]*\|([^|]*)\|$", DOCUMENT, re.MULTILINE)
    statuses = [status for status, codes in rows if f"`{code}`" in codes]
    assert len(statuses) == 1
    assert str(CODES[code]) in statuses[0]


def test_every_route_is_documented():
    assert len(ROUTES) > 8
    lines = [line for line in DOCUMENT.splitlines() if line.startswith("| `")]
    for method, rule in ROUTES:
        path = re.sub(r"<(?:path:)?(?:\w+_)?(\w+)>", r"{\1}", rule)
        assert any(method in line and f"{path}`" in line for line in lines), (method, path)
