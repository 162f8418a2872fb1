"""The list of models in the dialect of whoever asks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from anthropic.types import ModelInfo
from openai.types import Model

from tests.unit.inference.fakes import PRINCIPAL
from tests.unit.web.applications import Edge
from torana.routing.catalog import Catalog, ProviderEntry
from torana.routing.routes import single

VERSION = {"anthropic-version": "2023-06-01"}
NAMES = ["small", "big/one", "claude-opus-5"]


@pytest.fixture(scope="module")
def application() -> Edge:
    return Edge()


@pytest.fixture
def edge(application: Edge) -> Edge:
    application.catalog = Catalog(
        providers={"p": ProviderEntry(name="p", kind="compatible")},
        routes={name: single(name, "p", "theirs") for name in NAMES},
        prices={},
    )
    application.keys.principal = PRINCIPAL
    return application


def get(edge: Edge, path: str, **headers: str) -> Any:
    return edge.request("GET", path, headers=headers)


def test_openais_list_is_what_its_sdk_reads(edge):
    body = get(edge, "/v1/models").json
    assert body["object"] == "list"
    models = [Model.model_validate(item, strict=True) for item in body["data"]]
    assert [(model.id, model.owned_by) for model in models] == [(name, "p") for name in NAMES]
    assert all(model.created > 0 for model in models)
    assert {item["object"] for item in body["data"]} == {"model"}


def test_anthropics_list_is_what_its_sdk_reads(edge):
    body = get(edge, "/v1/models", **VERSION).json
    assert (body["has_more"], body["first_id"], body["last_id"]) == (False, NAMES[0], NAMES[-1])
    models = [ModelInfo.model_validate(item) for item in body["data"]]
    assert [(model.id, model.display_name) for model in models] == [(name, name) for name in NAMES]
    assert {model.lifecycle for model in models} == {"active"}
    assert {item["type"] for item in body["data"]} == {"model"}
    assert all(model.created_at.tzinfo is not None for model in models)


def test_an_empty_list_has_no_first_and_no_last(edge):
    edge.catalog = Catalog(providers={}, routes={}, prices={})
    assert get(edge, "/v1/models", **VERSION).json == {
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }
    assert get(edge, "/v1/models").json == {"object": "list", "data": []}


@pytest.mark.parametrize("name", NAMES)
def test_one_model_has_the_form_that_it_has_in_the_list(edge, name):
    for headers in ({}, VERSION):
        listed = {item["id"]: item for item in get(edge, "/v1/models", **headers).json["data"]}
        assert get(edge, f"/v1/models/{name}", **headers).json == listed[name]


def test_a_model_that_is_not_there_is_the_dialects_404(edge):
    openai = get(edge, "/v1/models/nothing")
    assert (openai.status_code, openai.json["error"]["code"]) == (404, "model_not_found")
    assert openai.json["error"]["param"] == "model"
    anthropic = get(edge, "/v1/models/nothing", **VERSION)
    assert (anthropic.status_code, anthropic.json["error"]["type"]) == (404, "not_found_error")


def test_a_caller_sees_what_it_may_use(edge):
    edge.keys.principal = msgspec.structs.replace(PRINCIPAL, models=("small",))
    for headers in ({}, VERSION):
        assert [item["id"] for item in get(edge, "/v1/models", **headers).json["data"]] == ["small"]
        assert get(edge, "/v1/models/claude-opus-5", **headers).status_code == 404
