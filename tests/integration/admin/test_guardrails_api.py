"""`/api/guardrails` of the real application, on both databases."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.web.applications import Edge
from torana.auth.policy import ADMIN_KEY_PERMISSIONS
from torana.db.session import Database
from torana.web import application
from torana.web.api import guardrails
from torana.web.services import attach, services

PATH = "/api/guardrails"


class Api:
    """The application around a database, with an administrator's key."""

    def __init__(self, database: Database) -> None:
        self.edge = Edge()
        built = services(self.edge.app)
        attach(self.edge.app, msgspec.structs.replace(built, database=database))
        self.caller = self.edge.keys.principal
        with database.read() as session:
            home = session.connection().exec_driver_sql("SELECT id FROM organisations").scalar()
        self.edge.keys.principal = msgspec.structs.replace(
            self.caller, permissions=ADMIN_KEY_PERMISSIONS, organisation_id=home
        )

    def ask(self, method: str, path: str = PATH, **options: Any) -> Any:
        answer = self.edge.request(method, path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json

    def refused(self, method: str, path: str = PATH, **options: Any) -> tuple[int, Any]:
        answer = self.edge.request(method, path, **options)
        return answer.status_code, answer.json


@pytest.fixture
def api(database: Database, monkeypatch: pytest.MonkeyPatch) -> Api:
    areas = dict.fromkeys((*application.AREAS, guardrails.area))
    monkeypatch.setattr(application, "AREAS", tuple(areas))
    return Api(database)


def test_a_guardrail_is_added_read_changed_and_removed(api):
    made = api.ask(
        "POST",
        json={
            "name": "privacy",
            "kind": "mask",
            "models": ["gpt-4*"],
            "projects": ["default"],
            "options": {"kinds": ["email"]},
        },
    )
    assert (made["models"], made["projects"], made["where"]) == (["gpt-4*"], ["default"], "prompt")
    assert api.ask("GET", f"{PATH}/privacy") == made
    assert api.ask("GET") == {"data": [made]}
    changed = api.ask("PATCH", f"{PATH}/privacy", json={"where": "both", "models": None})
    assert changed == made | {
        "where": "both",
        "models": None,
        "updated_at": changed["updated_at"],
    }
    assert api.ask("DELETE", f"{PATH}/privacy") == changed
    assert api.ask("GET") == {"data": []}


def test_what_makes_no_sense_is_refused_by_name(api):
    status, problem = api.refused("POST", json={"name": "x", "kind": "mask", "options": {"kin": 1}})
    assert (status, problem["code"]) == (400, "invalid_request")
    assert "Did you mean 'kinds'?" in problem["detail"]
    assert api.refused("POST", json={"name": "x", "kind": "mask", "wher": "both"})[0] == 422
    assert api.refused("POST", json={"name": "x", "kind": "mask", "order": 9999})[0] == 422
    assert api.refused("POST", json={"name": "x", "kind": "mask", "projects": ["no"]})[0] == 404
    api.ask("POST", json={"name": "x", "kind": "mask"})
    assert api.refused("POST", json={"name": "x", "kind": "mask"})[0] == 409
    assert api.refused("PATCH", f"{PATH}/y", json={"order": 1})[0] == 404
    assert api.refused("PATCH", f"{PATH}/x", json={"options": {"restore": 1}})[0] == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", PATH), ("POST", PATH), *((each, f"{PATH}/x") for each in ("GET", "PATCH", "DELETE"))],
)
def test_only_an_administrators_key_may(api, method, path):
    api.edge.keys.principal = api.caller
    status, problem = api.refused(method, path, json={} if method in {"POST", "PATCH"} else None)
    assert (status, problem["code"]) == (403, "permission_denied")
    assert api.refused(method, path, key=None)[0] == 401
