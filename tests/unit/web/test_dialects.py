"""Whose shapes errors and lists have, where no body says."""

from __future__ import annotations

import pytest

from tests.unit.web.applications import Edge
from torana.web.dialects import caller_family

VERSION = {"anthropic-version": "2023-06-01"}


@pytest.fixture(scope="module")
def edge() -> Edge:
    return Edge()


def family(edge: Edge, path: str, headers: dict[str, str]) -> str:
    with edge.app.test_request_context(path, headers=headers):
        return caller_family()


@pytest.mark.parametrize("headers", [{}, VERSION])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/messages", "anthropic"),
        ("/v1/messages/count_tokens", "anthropic"),
        ("/v1/messages/batches/msgbatch_1", "anthropic"),
        ("/v1/messages?beta=true", "anthropic"),
        ("/v1/complete", "anthropic"),
        ("/v1/chat/completions", "openai"),
        ("/v1/completions", "openai"),
        ("/v1/responses", "openai"),
        ("/v1/responses/resp_1", "openai"),
        ("/v1/embeddings", "openai"),
    ],
)
def test_a_path_of_one_api_decides_whatever_the_headers_are(edge, path, expected, headers):
    assert family(edge, path, headers) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models",
        "/v1/models/m",
        "/v1/files",
        "/v1/nothing",
        "/v1/messagesandmore",
        "/v1/completionsandmore",
    ],
)
def test_elsewhere_the_header_of_anthropics_sdks_decides(edge, path):
    assert family(edge, path, {}) == "openai"
    assert family(edge, path, VERSION) == "anthropic"
    assert family(edge, path, {"anthropic-beta": "x"}) == "openai"


def test_completions_are_not_anthropics_older_form(edge):
    # `/v1/complete` is a beginning of `/v1/completions`, but not a part of its path.
    assert family(edge, "/v1/completions", VERSION) == "openai"
