"""Sums in time zones, against a model in plain Python that looks at every entry."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.integration.ledger.reports.entries import Project, some
from torana.ledger import reports

CHANGES = {
    "UTC": (datetime(2026, 3, 1, tzinfo=UTC),),
    "Europe/Berlin": (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)),
    "America/St_Johns": (
        datetime(2026, 3, 8, 5, 30, tzinfo=UTC),
        datetime(2026, 11, 1, 4, 30, tzinfo=UTC),
    ),
    "Asia/Kathmandu": (datetime(2026, 12, 31, 18, 15, tzinfo=UTC),),
    "Australia/Lord_Howe": (
        datetime(2026, 4, 4, 15, tzinfo=UTC),
        datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
    ),
}
TAGS = ("tag:team", "tag:a.b", 'tag:o"k', "tag:none")
CASES: tuple[tuple[str, ...], ...] = (
    (),
    ("day",),
    ("hour",),
    ("week", "month"),
    ("model", "day"),
    ("key", "user", "status"),
    ("tag:team", "month"),
    ('tag:o"k', "tag:a.b", "end_user"),
    ("hour", "provider", "target_model"),
    ("project", "tag:none"),
)
FIELDS = {"key": "key_id", "user": "user_id", "project": "project_id"}
INPUT = (
    *("input_tokens", "cached_tokens", "cache_write_tokens"),
    *("cache_write_1h_tokens", "input_audio_tokens", "input_image_tokens"),
)
OUTPUT = (
    *("output_tokens", "reasoning_tokens"),
    *("output_audio_tokens", "output_image_tokens"),
)


def label(row: dict[str, Any], group: str, zone: ZoneInfo) -> Any:
    local = row["admitted_at"].astimezone(zone)
    if group == "hour":
        return local.replace(minute=0, second=0, microsecond=0).isoformat(timespec="minutes")
    if group == "day":
        return local.date().isoformat()
    if group == "week":
        year, week, _ = local.isocalendar()
        return f"{year}-W{week:02d}"
    if group == "month":
        return f"{local.year}-{local.month:02d}"
    if group.startswith("tag:"):
        return row["tags"].get(group[4:])
    return row[FIELDS.get(group, group)]


def modelled(
    rows: list[dict[str, Any]], groups: tuple[str, ...], zone: ZoneInfo
) -> dict[tuple[str | None, ...], tuple[int, ...]]:
    found: dict[tuple[str | None, ...], list[int]] = defaultdict(lambda: [0] * 11)
    for row in rows:
        sums = found[tuple(label(row, group, zone) for group in groups)]
        for place, value in enumerate(
            (
                row["seq"] == 0,
                sum(row[name] for name in INPUT),
                row["cached_tokens"],
                row["cache_write_tokens"] + row["cache_write_1h_tokens"],
                sum(row[name] for name in OUTPUT),
                row["reasoning_tokens"],
                row["images"],
                row["characters"],
                row["audio_seconds"],
                row["searches"],
                row["cost_nano"],
            )
        ):
            sums[place] += value
    return {key: tuple(sums) for key, sums in found.items()}


def seen(found: list[reports.UsageRow]) -> dict[tuple[str | None, ...], tuple[int, ...]]:
    return {
        tuple(row.group.values()): tuple(getattr(row, name) for name in reports.FIGURES)
        for row in found
    }


@pytest.fixture(scope="module", params=sorted(CHANGES))
def filled(request, shared_database) -> tuple[Project, list[dict[str, Any]], ZoneInfo]:
    project = Project(shared_database)
    rows = some(len(request.param), project.id, CHANGES[request.param])
    project.add(*rows)
    return project, rows, ZoneInfo(request.param)


@pytest.mark.parametrize("groups", CASES, ids=" ".join)
def test_sums_over_all_time_are_those_of_the_entries(filled, groups):
    project, rows, zone = filled
    assert seen(project.usage(*groups, zone=zone)) == modelled(rows, groups, zone)


@pytest.mark.parametrize("seed", range(12))
def test_sums_of_any_stretch_of_time_are_exact_to_the_microsecond(filled, seed):
    project, rows, zone = filled
    dice = random.Random(seed)
    groups = dice.choice(CASES[1:])
    ends = sorted(row["admitted_at"] for row in dice.sample(rows, 2))
    if seed % 4 == 1:
        ends = [ends[0], ends[0] + timedelta(minutes=dice.randrange(1, 40))]
    if seed % 4 == 2:
        ends = [end.replace(minute=end.minute // 15 * 15, second=0) for end in ends]
    since, until = ends
    if seed == 11:
        since = None
    inside = [
        row
        for row in rows
        if (since is None or row["admitted_at"] >= since) and row["admitted_at"] < until
    ]
    found = project.usage(*groups, zone=zone, since=since, until=until)
    assert seen(found) == modelled(inside, groups, zone)


FILTERS: dict[str, dict[str, Any]] = {
    "key": {"key_id": ("key_a",)},
    "keys": {"key_id": ("key_a", "key_b")},
    "user": {"user_id": ("user_a",)},
    "end user": {"end_user": ("bob/1",)},
    "model and provider": {"model": ("m1",), "provider": ("p2",)},
    "target and status": {"target_model": ("t1",), "status": ("error",)},
    "tag": {"tags": (("team", "blue"),)},
    "two tags": {"tags": (("team", "blue"), ("a.b", "c"))},
    "a tag with signs": {"tags": (('o"k', "v=1"),)},
    "nothing": {"model": ("m3",)},
}


@pytest.mark.parametrize("case", FILTERS)
def test_a_filter_leaves_only_what_it_names(filled, case):
    project, rows, zone = filled
    asked = FILTERS[case]
    since = rows[0]["admitted_at"] - timedelta(hours=30, minutes=7)
    kept = [
        row
        for row in rows
        if row["admitted_at"] >= since
        and all(row[name] in values for name, values in asked.items() if name != "tags")
        and all(row["tags"].get(name) == value for name, value in asked.get("tags", ()))
    ]
    where = reports.Filter(project_id=(project.id,), **asked)
    found = project.usage("day", "key", zone=zone, since=since, where=where)
    assert seen(found) == modelled(kept, ("day", "key"), zone)
