"""`GET /api/usage` and `GET /api/ledger` of the real application, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tests.integration.ledger.reports.entries import Project, entry
from tests.unit.web.applications import Edge
from torana.auth.policy import ADMIN_KEY_PERMISSIONS
from torana.db.session import Database
from torana.web.services import attach, services


class Api:
    """The application around a database, with the keys of a project and of an administrator."""

    def __init__(self, database: Database) -> None:
        self.edge = Edge()
        built = services(self.edge.app)
        attach(self.edge.app, msgspec.structs.replace(built, database=database))
        self.ours, self.theirs = Project(database), Project(database)
        self.caller = msgspec.structs.replace(self.edge.keys.principal, project_id=self.ours.id)
        self.edge.keys.principal = self.caller

    def become_administrator(self) -> None:
        self.edge.keys.principal = msgspec.structs.replace(
            self.caller, permissions=ADMIN_KEY_PERMISSIONS
        )

    def get(self, path: str) -> Any:
        answer = self.edge.request("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json

    def refused(self, path: str) -> tuple[int, str]:
        answer = self.edge.request("GET", path)
        assert answer.content_type == "application/problem+json"
        return answer.status_code, answer.json["detail"]


@pytest.fixture
def api(shared_database: Database) -> Api:
    return Api(shared_database)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_month_in_a_zone_beside_the_month_before(api: Api):
    api.ours.add(
        entry(api.ours.id, at("2026-10-31T22:59:59"), cost_nano=4_000_000_000),
        entry(api.ours.id, at("2026-10-31T23:00:00"), cost_nano=5_000_000_001),
        entry(api.ours.id, at("2026-11-30T22:59:59"), cost_nano=1_000_000_000),
        entry(api.ours.id, at("2026-11-30T23:00:00"), cost_nano=9_000_000_000),
    )
    report = api.get("/api/usage?period=2026-11-01/P1M&time_zone=Europe/Berlin&compare=previous")
    assert report["period"] == {
        "since": "2026-10-31T23:00:00.000Z",
        "until": "2026-11-30T23:00:00.000Z",
    }
    assert report["previous_period"]["since"] == "2026-09-30T22:00:00.000Z"
    assert report["time_zone"] == "Europe/Berlin"
    (row,) = report["data"]
    assert (row["group"], row["calls"], row["cost_usd"]) == ({"model": "m"}, 2, "6.000000001")
    assert row["previous"]["cost_usd"] == "4"
    assert (row["change_nano"], row["change_usd"]) == (2_000_000_001, "2.000000001")
    assert row["change_percent"] == report["total"]["change_percent"] == "50.0"


def test_groups_and_filters_by_tag(api: Api):
    api.ours.add(
        entry(api.ours.id, at("2026-03-01"), tags={"team": "red", "app": "x"}, cost_nano=1),
        entry(api.ours.id, at("2026-03-01"), tags={"team": "blue", "app": "x"}, cost_nano=20),
        entry(api.ours.id, at("2026-03-02"), tags={"team": "red"}, cost_nano=300),
        entry(api.ours.id, at("2026-03-02"), cost_nano=4000),
    )
    report = api.get("/api/usage?group_by=tag:team&group_by=day")
    assert [(row["group"], row["cost_nano"]) for row in report["data"]] == [
        ({"tag:team": None, "day": "2026-03-02"}, 4000),
        ({"tag:team": "red", "day": "2026-03-02"}, 300),
        ({"tag:team": "blue", "day": "2026-03-01"}, 20),
        ({"tag:team": "red", "day": "2026-03-01"}, 1),
    ]
    (row,) = api.get("/api/usage?tag=team=red&tag=app=x")["data"]
    assert row["cost_nano"] == 1
    assert [row["cost_nano"] for row in api.get("/api/ledger?tag=team=red")["data"]] == [300, 1]


def test_a_key_sees_its_own_project_and_an_administrator_the_organisation(api: Api):
    api.ours.add(entry(api.ours.id, model="only-here", cost_nano=1))
    api.theirs.add(entry(api.theirs.id, model="only-here", cost_nano=20))
    api.theirs.add(entry(api.theirs.id, model="only-here", organisation_id="org_2", cost_nano=300))
    asked = "/api/usage?group_by=project&model=only-here"
    assert [row["cost_nano"] for row in api.get(asked)["data"]] == [1]
    assert api.refused(f"{asked}&project={api.theirs.id}")[0] == 403
    assert api.refused(f"/api/ledger?project={api.theirs.id}")[0] == 403
    api.become_administrator()
    assert [row["cost_nano"] for row in api.get(asked)["data"]] == [20, 1]
    assert [row["cost_nano"] for row in api.get(f"{asked}&project={api.theirs.id}")["data"]] == [20]
    page = api.get("/api/ledger?model=only-here")["data"]
    assert sorted(row["cost_nano"] for row in page) == [1, 20]
    assert {row["project_id"] for row in page} == {api.ours.id, api.theirs.id}


def test_a_call_of_another_project_is_not_found_but_by_an_administrator(api: Api):
    ((_, call, _),) = api.theirs.add(entry(api.theirs.id))
    assert api.refused(f"/api/ledger/{call}")[0] == 404
    api.become_administrator()
    assert api.get(f"/api/ledger/{call}")["request_id"] == call
    ((_, foreign, _),) = api.theirs.add(entry(api.theirs.id, organisation_id="org_2"))
    assert api.refused(f"/api/ledger/{foreign}")[0] == 404


def test_entries_tell_all_that_was_counted(api: Api):
    counts: dict[str, Any] = {
        "cache_write_1h_tokens": 3,
        "input_audio_tokens": 4,
        "output_audio_tokens": 5,
        "images": 6,
        "input_image_tokens": 7,
        "output_image_tokens": 8,
        "characters": 9,
        "audio_seconds": 10,
        "searches": 11,
    }
    api.ours.add(entry(api.ours.id, end_user="alice", **counts))
    (row,) = api.get("/api/ledger?end_user=alice")["data"]
    assert {name: row[name] for name in counts} == counts
    assert (row["end_user"], row["cost_usd"]) == ("alice", "0.000000005")


def test_entries_by_what_they_cost(api: Api):
    api.ours.add(*(entry(api.ours.id, cost_nano=cost) for cost in (1, 50_000_000, 50_000_001)))
    page = api.get("/api/ledger?min_cost_usd=0.05&period=2026-03")["data"]
    assert sorted(row["cost_nano"] for row in page) == [50_000_000, 50_000_001]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=soon", "since"),
        ("until=2026-13-01", "until"),
        ("since=0001-01-01T00:00:00%2B14:00", "since"),
        ("period=next-month", "period"),
        ("period=2026-11/P1M&since=2026-11-01", "period"),
        ("time_zone=Mars/Olympus", "time_zone"),
        ("time_zone=../../etc/passwd", "time_zone"),
        ("tag=red", "tag"),
        ("model=%00", "model"),
        ("tag=a=%00", "tag"),
        ("colour=red", "colour"),
    ],
)
@pytest.mark.parametrize("area", ["usage", "ledger"])
def test_what_cannot_be_read_is_a_422_that_names_the_field(
    api: Api, area: str, query: str, field: str
):
    status, detail = api.refused(f"/api/{area}?{query}")
    assert status == 422
    assert field in detail


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("usage?compare=previous", "compare"),
        ("usage?compare=previous&since=2026-11-02&until=2026-11-01", "compare"),
        ("usage?compare=later&period=2026-11", "compare"),
        ("usage?group_by=colour", "group_by"),
        ("usage?group_by=tag:", "group_by"),
        ("usage?group_by=tag:%00", "group_by"),
        ("ledger?min_cost_usd=cheap", "min_cost_usd"),
        ("ledger?min_cost_usd=-1", "min_cost_usd"),
    ],
)
def test_what_does_not_fit_is_a_422_that_names_the_field(api: Api, query: str, field: str):
    status, detail = api.refused(f"/api/{query}")
    assert status == 422
    assert field in detail


def test_dates_are_midnights_of_the_zone(api: Api):
    api.ours.add(
        *(entry(api.ours.id, at(f"2026-11-0{day}T23:30"), cost_nano=day) for day in (1, 2))
    )
    asked = "/api/ledger?since=2026-11-02&until=2026-11-03"
    assert [row["cost_nano"] for row in api.get(asked)["data"]] == [2]
    asked += "&time_zone=Europe/Berlin"
    assert [row["cost_nano"] for row in api.get(asked)["data"]] == [1]
