"""A route has a permission, or it does not come to be."""

from __future__ import annotations

import re

import msgspec
import pytest
from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel

from tests.unit.inference.fakes import PRINCIPAL
from tests.unit.web.applications import GOOD_KEY, Edge
from torana.auth.policy import Permission
from torana.web.endpoint import Method, endpoint, page, permission_of

PUBLIC_ROUTES = {
    "/",
    "/docs",
    "/docs/assets/<path:name>",
    "/healthz",
    "/metrics",
    "/openapi.json",
    "/readyz",
}
"""All that anyone may see. A route that is added here was thought about."""


class Word(BaseModel):
    word: str


@pytest.fixture
def edge() -> Edge:
    return Edge()


def undeclared() -> str:
    return "for everyone"


@pytest.mark.parametrize(
    "register",
    [
        lambda app: app.add_url_rule("/x", view_func=undeclared),
        lambda app: app.route("/x")(undeclared),
        lambda app: app.get("/x")(undeclared),
        lambda app: app.post("/x")(undeclared),
    ],
    ids=["add_url_rule", "route", "get", "post"],
)
def test_a_route_without_a_permission_can_not_be_registered(edge, register):
    with pytest.raises(TypeError, match="/x declares no permission"):
        register(edge.app)


def test_a_blueprints_route_without_a_permission_can_not_be_registered(edge):
    area = APIBlueprint("undeclared", __name__)
    area.get("/x")(undeclared)
    with pytest.raises(TypeError, match="declares no permission"):
        edge.app.register_api(area)


def test_every_route_declares_a_permission(edge):
    for rule in edge.app.url_map.iter_rules():
        assert isinstance(permission_of(edge.app.view_functions[rule.endpoint]), Permission)


def test_the_routes_for_everyone_are_these(edge):
    found = {
        rule.rule
        for rule in edge.app.url_map.iter_rules()
        if permission_of(edge.app.view_functions[rule.endpoint]) is Permission.PUBLIC
    }
    assert found == PUBLIC_ROUTES


def test_every_other_route_refuses_a_request_without_a_key(edge):
    for rule in edge.app.url_map.iter_rules():
        if rule.rule in PUBLIC_ROUTES:
            continue
        path = re.sub(r"<[^>]+>", "anything", rule.rule)
        method = next(iter(sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})))
        response = edge.request(method, path, key=None)
        assert (rule.rule, response.status_code) == (rule.rule, 401)


def declare(edge: Edge, permission: Permission, method: Method = "GET") -> None:
    area = APIBlueprint("test", __name__)

    @endpoint(area, method, "/test", permission=permission, summary="Test.", responses={200: Word})
    def view() -> Word:
        """A view."""
        return Word(word="done")

    edge.app.register_api(area)


def test_a_view_answers_with_its_model_as_json(edge):
    declare(edge, Permission.PUBLIC)
    response = edge.request("GET", "/test", key=None)
    assert (response.status_code, response.json) == (200, {"word": "done"})
    assert response.content_type == "application/json"
    assert edge.keys.asked == []


def test_a_caller_without_the_permission_is_refused(edge):
    declare(edge, Permission.READ_USAGE)
    edge.keys.principal = msgspec.structs.replace(
        edge.keys.principal, permissions=frozenset({Permission.CALL})
    )
    response = edge.request("GET", "/test")
    assert response.status_code == 403
    assert "read_usage" in response.json["detail"]
    assert response.json["code"] == "permission_denied"


@pytest.mark.parametrize("permission", [one for one in Permission if one is not Permission.PUBLIC])
def test_all_but_calls_look_the_credential_up_anew(edge, permission):
    edge.keys.principal = msgspec.structs.replace(PRINCIPAL, permissions=frozenset(Permission))
    declare(edge, permission)
    assert edge.request("GET", "/test").status_code == 200
    assert edge.keys.asked == [(GOOD_KEY, permission is not Permission.CALL)]


def test_a_page_is_public_and_not_part_of_the_description(edge):
    area = APIBlueprint("pages", __name__)

    @page(area, "/page")
    def view() -> Response:
        return Response("hello")

    edge.app.register_api(area)
    assert edge.request("GET", "/page", key=None).text == "hello"
    assert "/page" not in edge.app.api_doc["paths"]


def test_the_description_says_which_routes_need_a_key(edge):
    paths = edge.app.api_doc["paths"]
    assert paths["/v1/chat/completions"]["post"]["security"] == [{"bearer": []}, {"api_key": []}]
    assert not paths["/healthz"]["get"].get("security")


@pytest.mark.parametrize(
    ("headers", "credential"),
    [
        ({"authorization": "Bearer sk-tor-good"}, "sk-tor-good"),
        ({"authorization": "bearer   sk-tor-good "}, "sk-tor-good"),
        ({"x-api-key": "sk-tor-good"}, "sk-tor-good"),
        ({"authorization": "Bearer sk-tor-good", "x-api-key": "other"}, "sk-tor-good"),
        ({"authorization": "Basic dTpw", "x-api-key": " sk-tor-good"}, "sk-tor-good"),
    ],
)
def test_a_credential_comes_as_a_bearer_token_or_as_an_api_key(edge, headers, credential):
    declare(edge, Permission.READ_SELF)
    assert edge.request("GET", "/test", key=None, headers=headers).status_code == 200
    assert edge.keys.asked == [(credential, True)]


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic dTpw"}, {"x-api-key": ""}])
def test_without_a_credential_the_answer_says_how_to_send_one(edge, headers):
    response = edge.request("GET", "/api/me", key=None, headers=headers)
    assert response.status_code == 401
    assert "Authorization: Bearer" in response.json["detail"]
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert edge.keys.asked == []


def test_a_caller_is_known_before_anything_of_its_request_is_judged(edge):
    response = edge.request("GET", "/api/ledger?limit=nonsense", key="sk-tor-bad")
    assert response.status_code == 401
