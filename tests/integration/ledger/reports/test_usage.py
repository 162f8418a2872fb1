"""Sums of what was used: what belongs together, in which order, and beside the time before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from tests.integration.ledger.reports.entries import NOON, Project, entry
from torana.core.ids import new_id
from torana.db import models
from torana.errors import ValidationFailed
from torana.ledger import reports

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def project(shared_database) -> Project:
    return Project(shared_database)


def test_a_sum_over_all_adds_what_belongs_together(project):
    project.add(entry(project.id, cost_nano=2), entry(project.id, cost_nano=3))
    (row,) = project.usage()
    assert (row.group, row.calls, row.cost_nano) == ({}, 2, 5)
    assert (row.input_tokens, row.cached_tokens, row.cache_write_tokens) == (222, 20, 200)
    assert (row.output_tokens, row.reasoning_tokens) == (22000, 20000)


def test_without_calls_a_sum_is_zero_and_groups_are_none(project):
    (row,) = project.usage()
    assert (row.calls, row.input_tokens, row.output_tokens, row.cost_nano) == (0, 0, 0, 0)
    assert project.usage("model") == []


def test_corrections_count_in_the_sum_but_are_no_calls(project):
    call = new_id("req")
    project.add(
        entry(project.id, call_id=call, cost_nano=100),
        entry(project.id, call_id=call, seq=1, cost_nano=-40),
    )
    (row,) = project.usage()
    assert (row.calls, row.cost_nano) == (1, 60)


@pytest.mark.parametrize(
    ("group", "column", "values"),
    [
        ("model", "model", ["a", "b"]),
        ("provider", "provider", ["a", "b"]),
        ("key", "key_id", ["key_a", "key_b"]),
        ("user", "user_id", ["user_a", None]),
        ("status", "status", ["ok", "error"]),
    ],
)
def test_sums_by_a_group_come_dearest_first(project, group, column, values):
    cheap, dear = values
    project.add(
        entry(project.id, cost_nano=1, **{column: cheap}),
        entry(project.id, cost_nano=2, **{column: cheap}),
        entry(project.id, cost_nano=10, **{column: dear}),
    )
    rows = project.usage(group)
    assert [(row.group, row.calls, row.cost_nano) for row in rows] == [
        ({group: dear}, 1, 10),
        ({group: cheap}, 2, 3),
    ]


def test_sums_by_project(project):
    project.add(entry(project.id))
    assert [row.group for row in project.usage("project")] == [{"project": project.id}]


@pytest.mark.parametrize(
    ("at", "day"),
    [
        ("2026-03-01T00:00:00+00:00", "2026-03-01"),
        ("2026-03-01T23:59:59.999999+00:00", "2026-03-01"),
        ("2026-03-02T00:00:00+00:00", "2026-03-02"),
        ("2026-03-02T01:00:00+05:30", "2026-03-01"),
        ("2024-02-29T12:00:00+00:00", "2024-02-29"),
    ],
)
def test_days_are_those_of_utc(project, at, day):
    project.add(entry(project.id, datetime.fromisoformat(at)))
    assert [row.group for row in project.usage("day")] == [{"day": day}]


def test_sums_by_several_groups(project):
    for day, model, cost in ((1, "a", 1), (1, "b", 20), (2, "a", 300), (2, "a", 4000)):
        project.add(
            entry(project.id, datetime(2026, 3, day, tzinfo=UTC), model=model, cost_nano=cost)
        )
    rows = project.usage("day", "model")
    assert [(row.group, row.cost_nano) for row in rows] == [
        ({"day": "2026-03-02", "model": "a"}, 4300),
        ({"day": "2026-03-01", "model": "b"}, 20),
        ({"day": "2026-03-01", "model": "a"}, 1),
    ]


def test_all_groups_at_once(project):
    project.add(entry(project.id))
    (row,) = project.usage(*reports.GROUPS)
    assert set(row.group) == set(reports.GROUPS)


def test_sums_between_two_instants_hold_the_first_and_not_the_last(project):
    project.add(*(entry(project.id, NOON + timedelta(hours=n), cost_nano=10**n) for n in range(4)))
    (row,) = project.usage(since=NOON + timedelta(hours=1), until=NOON + timedelta(hours=3))
    assert (row.calls, row.cost_nano) == (2, 110)


def test_sums_are_exact_beyond_what_a_float_holds(project):
    project.add(entry(project.id, cost_nano=2**53), entry(project.id, cost_nano=1))
    (row,) = project.usage("model")
    assert row.cost_nano == 2**53 + 1
    assert isinstance(row.cost_nano, int)


# --- beside the period before ------------------------------------------------------------------


def compared(project: Project, period: str, *groups: str) -> list[reports.UsageRow]:
    asked = reports.parse_period(period, BERLIN, now=NOON)
    return project.usage(
        *groups, since=asked.start, until=asked.end, zone=BERLIN, previous=asked.previous()
    )


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


def test_a_month_is_set_beside_the_month_before_it_in_its_zone(project):
    project.add(
        entry(project.id, at("2026-02-01T00:00"), model="a", cost_nano=200),
        entry(project.id, at("2026-02-28T23:59:59.999999"), model="b", cost_nano=30),
        entry(project.id, at("2026-03-01T00:00"), model="a", cost_nano=300),
        entry(project.id, at("2026-03-31T23:59:59.999999"), model="c", cost_nano=10),
        entry(project.id, at("2026-01-31T23:59:59"), model="a", cost_nano=7000),
        entry(project.id, at("2026-04-01T00:00"), model="a", cost_nano=7000),
    )
    rows = compared(project, "2026-03-01/P1M", "model")
    assert [
        (row.group["model"], row.cost_nano, row.previous.cost_nano, row.change_percent)
        for row in rows
        if row.previous is not None
    ] == [("a", 300, 200, "50.0"), ("c", 10, 0, None), ("b", 0, 30, "-100.0")]
    total = reports.total_of(rows)
    assert (total.calls, total.cost_nano, total.change_nano) == (2, 310, 80)
    assert total.change_percent == "34.8"


def test_days_are_set_beside_the_days_of_the_same_place(project):
    project.add(
        entry(project.id, at("2026-02-03T10:00"), cost_nano=2),
        entry(project.id, at("2026-03-03T23:00"), cost_nano=5),
        entry(project.id, at("2026-03-30T00:00"), cost_nano=6),
    )
    rows = compared(project, "2026-03", "day")
    assert [
        (row.group["day"], row.cost_nano, row.previous and row.previous.cost_nano) for row in rows
    ] == [("2026-03-03", 5, 2), ("2026-03-30", 6, 0)]


def test_months_and_weeks_and_hours_find_their_place_too(project):
    project.add(
        entry(project.id, at("2025-05-06T10:30"), cost_nano=2),
        entry(project.id, at("2026-05-06T10:30"), cost_nano=5),
    )
    (month,) = compared(project, "2026", "month")
    assert (month.group, month.change_nano) == ({"month": "2026-05"}, 3)
    project.add(entry(project.id, at("2026-05-05T10:45"), cost_nano=3))
    (hour,) = compared(project, "2026-05-06", "hour")
    assert (hour.group, hour.change_nano) == ({"hour": "2026-05-06T10:00+02:00"}, 2)
    project.add(entry(project.id, at("2026-04-29T10:45"), cost_nano=4))
    (week,) = compared(project, "2026-W19", "week")
    assert (week.group, week.change_nano) == ({"week": "2026-W19"}, 4)


def test_without_any_calls_both_sums_are_zero(project):
    (row,) = compared(project, "2026-03")
    assert row.previous == reports.Sums()
    assert (row.cost_nano, row.change_nano, row.change_percent) == (0, 0, None)


# --- names and limits --------------------------------------------------------------------------


def test_projects_keys_and_users_are_told_with_their_names(project):
    with project.database.read() as session:
        there = session.scalars(select(models.Project)).first()
    assert there is not None
    project.add(entry(there.id, key_id="key_gone", user_id=None, model="named"))
    (row,) = project.usage(
        "project", "key", "user", where=reports.Filter(project_id=(there.id,), model=("named",))
    )
    assert row.group == {"project": there.id, "key": "key_gone", "user": None}
    assert row.names == {"project_name": there.name, "key_name": None, "user_email": None}


def test_more_groups_than_allowed_are_refused_and_never_cut(project):
    project.add(*(entry(project.id, key_id=f"key_{number}") for number in range(4)))
    assert len(project.usage("key", most=4)) == 4
    with pytest.raises(ValidationFailed, match="more than 3"):
        project.usage("key", most=3)


@pytest.mark.parametrize("group", ["colour", "tag:", "tag", "", "MODEL"])
def test_an_unknown_group_is_refused(project, group):
    with pytest.raises(ValidationFailed, match="group_by"):
        project.usage(group)
