"""The API's description: valid, whole, and honest about who may call what."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.support.server import RunningServer
from torana.auth.policy import Permission
from torana.settings import load_settings
from torana.web.application import create_app
from torana.web.endpoint import ToranaApp, permission_of
from torana.web.services import Services

PAGES = {"/", "/openapi.json", "/docs", "/docs/assets/{name}"}
"""For people; they are no part of the API."""
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def app() -> ToranaApp:
    """The application with its routes; nothing is called."""
    nothing: Any = None
    return create_app(
        Services(
            settings=load_settings(),
            **{name: nothing for name in Services.__struct_fields__ if name != "settings"},
        )
    )


@pytest.fixture(scope="module")
def description(server_on_sqlite: RunningServer) -> dict[str, Any]:
    """What the server says of itself, without a key."""
    reply = server_on_sqlite.request("GET", "/openapi.json", key="")
    assert reply.status == 200
    described: dict[str, Any] = reply.json()
    return described


def _operations(description: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in description["paths"].items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path, item[method]


def _routes(app: ToranaApp) -> Iterator[tuple[str, str, Permission]]:
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            yield method, path, permission_of(app.view_functions[rule.endpoint])


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for part in value.values():
            yield from _references(part)
    elif isinstance(value, list):
        for part in value:
            yield from _references(part)


def test_the_description_is_valid_openapi_3_1(description: dict[str, Any]):
    assert description["openapi"].startswith("3.1.")
    assert [str(error) for error in OpenAPIV31SpecValidator(description).iter_errors()] == []


def test_every_reference_leads_somewhere(description: dict[str, Any]):
    references = set(_references(description))
    assert references
    for reference in references:
        start, *names = reference.split("/")
        assert start == "#", reference
        place: Any = description
        for name in names:
            assert name in place, reference
            place = place[name]


def test_every_route_is_described_and_nothing_else(app: ToranaApp, description: dict[str, Any]):
    routes = {(method, path) for method, path, _ in _routes(app) if path not in PAGES}
    assert {(method, path) for method, path, _ in _operations(description)} == routes


def test_what_is_not_public_demands_a_credential(app: ToranaApp, description: dict[str, Any]):
    permissions = {(method, path): permission for method, path, permission in _routes(app)}
    schemes = description["components"]["securitySchemes"]
    for method, path, operation in _operations(description):
        security = operation.get("security", [])
        if permissions[method, path] is Permission.PUBLIC:
            assert security == [], path
            continue
        assert security == [{"bearer": []}, {"api_key": []}], path
        assert all(name in schemes for item in security for name in item)
        assert "401" in operation["responses"], path


def test_every_operation_says_what_it_does_and_answers(description: dict[str, Any]):
    ids = [operation["operationId"] for _, _, operation in _operations(description)]
    assert len(set(ids)) == len(ids)
    for method, path, operation in _operations(description):
        assert operation["summary"], path
        assert "200" in operation["responses"], path
        for status, response in operation["responses"].items():
            assert response["description"], (path, status)
            assert response["content"], (path, status)
            kinds = set(response["content"])
            if int(status) >= 400 and path != "/readyz":
                wanted = (
                    "application/json" if path.startswith("/v1/") else "application/problem+json"
                )
                assert kinds == {wanted}, (method, path, status)


def test_every_variable_of_a_path_is_described(description: dict[str, Any]):
    for _, path, operation in _operations(description):
        wanted = set(re.findall(r"{(\w+)}", path))
        parameters = operation.get("parameters", [])
        assert {item["name"] for item in parameters if item["in"] == "path"} == wanted


def test_the_description_names_nothing_of_this_machine(
    server_on_sqlite: RunningServer, description: dict[str, Any]
):
    text = str(description)
    for secret in (str(server_on_sqlite.folder), server_on_sqlite.key, "127.0.0.1"):
        assert secret not in text


def test_swagger_ui_is_served_by_us_alone(server: RunningServer):
    reply = server.request("GET", "/docs", key="")
    assert reply.status == 200
    assert "script-src 'nonce-" in reply.headers["content-security-policy"]
    page = reply.body.decode()
    assert "/openapi.json" in page
    assert not re.search(r"(src|href)=\"(https?:)?//", page)
    assets = re.findall(r"(?:src|href)=\"(/docs/assets/[^\"]+)\"", page)
    assert assets
    for asset in assets:
        found = server.request("GET", asset, key="")
        assert found.status == 200, asset
        assert len(found.body) > 1000


@pytest.mark.parametrize("name", ["nothing.js", "..%2f..%2fpyproject.toml", "js/../../index.html"])
def test_no_other_file_is_served(server: RunningServer, name: str):
    assert server.request("GET", f"/docs/assets/{name}", key="").status == 404
