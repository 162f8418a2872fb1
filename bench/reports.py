"""Reports over ten million calls: three months on a PostgreSQL of their own, filled and asked.

    python -m bench.reports                  10,000,000 entries; about ten minutes, 10 GB of disk
    python -m bench.reports --rows 100000    the same in small

The calls are those of 400 keys in 40 projects of two organisations. A few keys make most of them
(the n-th a n-th of the first's), in working hours more than at night; each key uses one to three
of 12 models and carries its team's tags. Tables are analysed once, settings are PostgreSQL's own.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import String, cast, func, insert, select, text
from sqlalchemy.orm import Session

from bench import machine, postgres, report
from bench.run import RESULTS, WORK
from torana.core.ids import new_id
from torana.db import models, partitions
from torana.db.migrate import upgrade
from torana.db.session import Database
from torana.ledger import reports
from torana.ledger.bucket_sums import entry_sums
from torana.ledger.rebuild import rebuild
from torana.ledger.rollups import COUNTS, DIMENSIONS
from torana.ledger.spent import spent_between

START = datetime(2026, 8, 1, tzinfo=UTC)
END = datetime(2026, 11, 1, tzinfo=UTC)
DAYS = (END - START).days
KEYS, PROJECTS, USERS = 400, 40, 60
MODELS = [f"model-{number}" for number in range(12)]
SLOTS = 100_000
BATCH = 1_000_000
TIMES = 5
GOAL_SECONDS = 1.0
BERLIN = ZoneInfo("Europe/Berlin")


@dataclass
class Bench:
    """A filled database and what was measured on it."""

    database: Database
    organisations: list[str] = field(default_factory=list)
    projects: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    members: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    queries: list[tuple[str, int, list[float]]] = field(default_factory=list)

    def timed(self, name: str, action: Callable[[], object]) -> None:
        """Do something once."""
        print(f"  {name} ...", flush=True)
        started = time.monotonic()
        action()
        self.timings[name] = time.monotonic() - started
        print(f"    {self.timings[name]:.1f} s", flush=True)

    def ask(self, name: str, question: Callable[[Session], Any]) -> None:
        """Ask several times, each in a new transaction."""
        seconds, size = [], 0
        for _ in range(TIMES):
            started = time.monotonic()
            with self.database.read() as session:
                answer = question(session)
            seconds.append(time.monotonic() - started)
            size = len(answer) if isinstance(answer, list) else 1
        self.queries.append((name, size, seconds))
        print(f"  {name}: {sorted(seconds)[TIMES // 2]:.3f} s, {size} rows", flush=True)


def make_tenants(bench: Bench) -> None:
    """Organisations, projects, users and keys, with what each key calls and how often."""
    dice = random.Random(2026)
    bench.organisations = [new_id("org") for _ in range(2)]
    bench.projects = [new_id("proj") for _ in range(PROJECTS)]
    bench.keys = [new_id("key") for _ in range(KEYS)]
    bench.members = [new_id("mem") for _ in range(USERS)]
    users = [new_id("user") for _ in range(USERS)]
    made: dict[str, Any] = {"created_at": START}
    with bench.database.write() as session:
        for number, organisation in enumerate(bench.organisations):
            session.add(models.Organisation(id=organisation, name=f"org {number}", **made))
        for number, user in enumerate(users):
            email = f"user{number}@example.test"
            session.add(models.User(id=user, email=email, is_instance_admin=False, **made))
        session.flush()
        for number, project in enumerate(bench.projects):
            organisation = bench.organisations[number % 2]
            session.add(
                models.Project(
                    id=project, organisation_id=organisation, name=f"project {number}", **made
                )
            )
        for number, member in enumerate(bench.members):
            organisation, user = bench.organisations[number % 2], users[number]
            session.add(
                models.Membership(
                    id=member, organisation_id=organisation, user_id=user, role="member", **made
                )
            )
        session.flush()
        combinations: list[dict[str, Any]] = []
        weights: list[float] = []
        for number, key in enumerate(bench.keys):
            owner = number % USERS if number % 3 else None
            session.add(
                models.ApiKey(
                    id=key,
                    project_id=bench.projects[number % PROJECTS],
                    membership_id=None if owner is None else bench.members[owner],
                    name=f"key {number}",
                    prefix="sk-tor",
                    key_hash=number.to_bytes(32, "big"),
                    **made,
                )
            )
            tags = {"team": f"team-{number % 7}", "stage": dice.choice(("live", "test"))}
            for place, model in enumerate(dice.sample(MODELS, dice.choice((1, 1, 2, 3)))):
                combinations.append(
                    {
                        "key_id": key,
                        "project_id": bench.projects[number % PROJECTS],
                        # An even number of users and of projects: owners are of the key's own.
                        "organisation_id": bench.organisations[number % 2],
                        "user_id": None if owner is None else users[owner],
                        "model": model,
                        "provider": f"provider-{MODELS.index(model) % 3}",
                        "tags": json.dumps(tags if number % 4 else {}),
                    }
                )
                weights.append(1 / (number + 1) / (1 + 4 * place))
        slots = dice.choices(range(len(combinations)), weights=weights, k=SLOTS)
        session.execute(
            text(
                "CREATE UNLOGGED TABLE bench_slots (slot int PRIMARY KEY, key_id text, "
                "project_id text, organisation_id text, user_id text, model text, "
                "provider text, tags jsonb)"
            )
        )
        session.execute(
            text(
                "INSERT INTO bench_slots VALUES (:slot, :key_id, :project_id, :organisation_id, "
                ":user_id, :model, :provider, CAST(:tags AS jsonb))"
            ),
            [{"slot": slot, **combinations[which]} for slot, which in enumerate(slots)],
        )


FILL = """
INSERT INTO ledger_entries (
    admitted_at, call_id, seq, posted_at, organisation_id, project_id, user_id, key_id, route,
    model, provider, target_model, status, counted, input_tokens, cached_tokens,
    cache_write_tokens, output_tokens, reasoning_tokens, cost_nano, bound_nano, price_id, streamed,
    http_status, duration_ms, first_byte_ms, provider_request_id, attempts, tags)
SELECT
    g.at, 'req_' || lpad(to_hex(g.n), 26, '0'), 0, g.at + interval '2 seconds',
    s.organisation_id, s.project_id, s.user_id, s.key_id, 'openai.chat.completions', s.model,
    s.provider, s.model, CASE WHEN g.dice < 0.02 THEN 'error' ELSE 'ok' END, 'provider',
    200 + (g.dice * 3000)::int, (g.dice * 500)::int, 0, 50 + (g.dice * 700)::int,
    (g.dice * 100)::int, 20000 + (g.dice * 9000000)::bigint, 20000000, 'price_1', g.n % 2 = 0,
    200, 2000, 300, 'chatcmpl-' || g.n, '[{"n": 1, "outcome": "answered"}]', s.tags
FROM (
    SELECT n, random() AS dice, (random() * :slots)::int % :slots AS slot,
        CAST(:start AS timestamptz) + floor(random() * :days) * interval '1 day'
        + CASE WHEN random() < 0.2 THEN random() * 24 ELSE 6 + (random() + random()) * 6 END
        * interval '1 hour' AS at
    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n
    OFFSET 0
) AS g JOIN bench_slots AS s ON s.slot = g.slot
"""


def fill_ledger(bench: Bench, rows: int) -> None:
    """The entries, in the partitions of their months."""
    with bench.database.write() as session:
        month = START
        while month < END:
            exists = text("SELECT to_regclass(:name)")
            name = partitions.partition_name(month)
            if session.scalar(exists, {"name": name}) is None:
                for statement in partitions.create_statements(month):
                    session.execute(text(statement))
            month = (month + timedelta(days=31)).replace(day=1)
    for first in range(1, rows + 1, BATCH):
        with bench.database.write() as session:
            session.execute(text("SET LOCAL synchronous_commit = off"))
            last = min(first + BATCH - 1, rows)
            values = {"first": first, "last": last, "slots": SLOTS, "days": DAYS, "start": START}
            session.execute(text(FILL), values)


def fill_rollups(bench: Bench) -> None:
    """All rollups at once; that `rebuild` makes the same is a matter of its tests."""
    sums = entry_sums(is_sqlite=False).subquery()
    dimensions = [cast(sums.c[name], String) for name in DIMENSIONS]
    columns = ["bucket_start", *DIMENSIONS, *COUNTS]
    chosen = select(*[sums.c[name] for name in columns], func.md5(func.concat_ws("|", *dimensions)))
    with bench.database.write() as session:
        session.execute(text("SET LOCAL work_mem = '512MB'"))
        session.execute(insert(models.UsageRollup).from_select([*columns, "digest"], chosen))


def fill_balances(bench: Bench) -> None:
    """Accounts of all scopes, windows of projects by month and of keys by day for a month."""
    scopes = [
        *(("organisation", scope_id) for scope_id in bench.organisations),
        *(("project", scope_id) for scope_id in bench.projects),
        *(("user", scope_id) for scope_id in bench.members),
        *(("key", scope_id) for scope_id in bench.keys),
    ]
    windows: list[tuple[str, str, str, datetime, datetime | None]] = [
        (kind, scope_id, "", datetime(1970, 1, 1, tzinfo=UTC), None) for kind, scope_id in scopes
    ]
    for number in range(3):
        first, end = (datetime(2026, 8 + number + step, 1, tzinfo=BERLIN) for step in (0, 1))
        windows += [("project", scope_id, "bud_month", first, end) for scope_id in bench.projects]
    for number in range(DAYS - 30, DAYS):
        start = START + timedelta(days=number)
        windows += [
            ("key", scope_id, "bud_day", start, start + timedelta(days=1))
            for scope_id in bench.keys
        ]
    with bench.database.write() as session:
        rows: list[dict[str, Any]] = [
            {
                "id": new_id("bal"),
                "scope_kind": kind,
                "scope_id": scope_id,
                "budget_id": budget,
                "window_start": start,
                "window_end": end,
                "spent_nano": spent_between(
                    session, scope_kind=kind, scope_id=scope_id, start=start, end=end
                ),
                "reserved_nano": 0,
                "open_calls": 0,
                "terms": {},
            }
            for kind, scope_id, budget, start, end in windows
        ]
        session.execute(insert(models.Balance), rows)


def ask_everything(bench: Bench) -> None:
    """The questions of the report, each several times."""
    now = END - timedelta(hours=3)
    month = reports.parse_period("2026-10", BERLIN, now=now)
    ragged = reports.parse_period("2026-08-11T10:07:31/2026-10-20T18:52:03", BERLIN, now=now)
    project = reports.Filter(project_id=(bench.projects[0],))
    organisation = reports.Filter(organisation_id=(bench.organisations[0],))

    def usage(*group_by: str, **asked: Any) -> Callable[[Session], Any]:
        return lambda session: reports.usage(session, group_by=group_by, **asked)

    ends = {"since": month.start, "until": month.end, "zone": BERLIN}
    bench.ask("usage, all time, by model", usage("model"))
    bench.ask("usage, all time, by project", usage("project"))
    bench.ask("usage, all time, by project and day in Berlin", usage("project", "day", zone=BERLIN))
    bench.ask("usage, all time, by key and model", usage("key", "model"))
    bench.ask("usage, all time, by tag", usage("tag:team"))
    bench.ask("usage, all time, by month in Berlin", usage("month", zone=BERLIN))
    bench.ask("usage, one organisation, by user", usage("user", where=organisation))
    bench.ask("usage, a month, by project", usage("project", **ends))
    bench.ask(
        "usage, a month by model, compared", usage("model", previous=month.previous(), **ends)
    )
    bench.ask("usage, a project's month by day", usage("day", where=project, **ends))
    bench.ask(
        "usage, ten ragged weeks, by model",
        usage("model", since=ragged.start, until=ragged.end),
    )
    bench.ask(
        "ledger page, a project's dear errors",
        lambda session: (
            reports.entry_page(
                session,
                where=reports.Filter(
                    project_id=(bench.projects[0],), status=("error",), tags=(("stage", "live"),)
                ),
                limit=50,
                min_cost_nano=100_000,
            ).entries
        ),
    )
    bench.ask(
        "ledger page, all, by time",
        lambda session: (
            reports.entry_page(session, where=reports.ALL, limit=50, until=ragged.end).entries
        ),
    )
    for kind, scope_id in (
        ("key", bench.keys[0]),
        ("user", bench.members[1]),
        ("project", bench.projects[0]),
        ("organisation", bench.organisations[0]),
        ("tag", f"{bench.projects[1]}/team=team-1"),
    ):
        bench.ask(
            f"spent_between, a {kind}'s ragged weeks",
            lambda session, kind=kind, scope_id=scope_id: spent_between(  # type: ignore[misc]
                session,
                scope_kind=kind,
                scope_id=scope_id,
                start=ragged.start,
                end=ragged.end,
            ),
        )


def verify(bench: Bench) -> None:
    """The books must agree, or the figures mean nothing."""
    with bench.database.read() as session:
        found = reports.verify(session)
    if found:
        raise AssertionError(found[:3])


def sizes(bench: Bench) -> dict[str, int]:
    """Rows, and bytes with indexes."""
    found = {}
    with bench.database.read() as session:
        for table in ("ledger_entries", "usage_rollups", "balances"):
            found[f"{table} rows"] = session.execute(
                text(f"SELECT count(*) FROM {table}")  # noqa: S608 -- names written above
            ).scalar_one()
        found["ledger_entries MB"] = session.execute(
            text(
                "SELECT sum(pg_total_relation_size(inhrelid))::bigint / 1000000 FROM pg_inherits "
                "WHERE inhparent = 'ledger_entries'::regclass"
            )
        ).scalar_one()
        found["usage_rollups MB"] = session.execute(
            text("SELECT pg_total_relation_size('usage_rollups') / 1000000")
        ).scalar_one()
    return found


def lines(bench: Bench, found: dict[str, int], version: str) -> list[str]:
    """The report as Markdown."""
    rows = [
        [name, f"{size:,}", *(f"{value:.3f}" for value in (sorted(each)[TIMES // 2], max(each)))]
        for name, size, each in bench.queries
    ]
    return [
        f"# Reports over {found['ledger_entries rows']:,} calls, {datetime.now(UTC):%Y-%m-%d}",
        "",
        f"Machine: {', '.join(f'{key} {value}' for key, value in machine.describe().items())}.",
        f"PostgreSQL {version} with its own settings (shared_buffers 128 MB).",
        ", ".join(f"{name} {value:,}" for name, value in found.items()) + ".",
        "",
        *report.table(["question", "rows", "median s", "slowest s"], rows),
        "",
        *report.table(
            ["done once", "s"], [[name, f"{value:.1f}"] for name, value in bench.timings.items()]
        ),
        "",
    ]


def measure(bench: Bench) -> None:
    """All that follows the entries."""
    bench.timed("sum up the rollups", lambda: fill_rollups(bench))
    with bench.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as plain:
        plain.execute(text("VACUUM (ANALYZE) ledger_entries, usage_rollups"))
    bench.timed("sum up the balances", lambda: fill_balances(bench))
    ask_everything(bench)
    bench.timed("verify everything", lambda: verify(bench))
    day = END - timedelta(days=10)
    bench.timed(
        "rebuild one day, every row of it",
        lambda: rebuild(bench.database, since=day, until=day + timedelta(days=1)),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill, ask, write the report; 1 if a usage report missed its goal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=10_000_000)
    options = parser.parse_args(arguments)
    WORK.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=WORK, prefix="reports-"))
    with postgres.started(folder) as server:
        database = Database(server.url, patience=3600)
        upgrade(database)
        bench = Bench(database)
        make_tenants(bench)
        bench.timed("insert the entries", lambda: fill_ledger(bench, options.rows))
        measure(bench)
        found = lines(bench, sizes(bench), server.version)
        database.dispose()
    shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(found))
    RESULTS.mkdir(parents=True, exist_ok=True)
    name = f"{datetime.now(UTC):%Y-%m-%d}-reports-{machine.short_name()}.md"
    (RESULTS / name).write_text("\n".join(found))
    usage = [max(each) for title, _, each in bench.queries if title.startswith("usage")]
    return int(max(usage) > GOAL_SECONDS)


if __name__ == "__main__":
    raise SystemExit(main())
