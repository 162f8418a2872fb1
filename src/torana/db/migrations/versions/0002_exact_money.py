"""Exact money: budgets and their windows, rate limits, rollups, idempotent calls, full prices."""

import hashlib
import json
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from torana.db import partitions
from torana.db.models.base import Instant, JsonColumn

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _widen_balances()
    _create_budgets()
    _widen_calls()
    _create_rollups()
    _create_idempotent_calls()
    _rebuild_prices()
    op.add_column(
        "api_keys",
        sa.Column("role", sa.String(length=16), server_default="caller", nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        _make_guard()
        _make_partitions()
    _forbid_changes()
    _fill_rollups()


def _widen_balances() -> None:
    with op.batch_alter_table("balances") as batch:
        batch.alter_column(
            "scope_id", type_=sa.String(length=300), existing_type=sa.String(length=48)
        )
        batch.add_column(
            sa.Column("budget_id", sa.String(length=48), server_default="", nullable=False)
        )
        batch.add_column(
            sa.Column("request_tat", sa.BigInteger(), server_default="0", nullable=False)
        )
        batch.add_column(
            sa.Column("token_tat", sa.BigInteger(), server_default="0", nullable=False)
        )
        batch.add_column(sa.Column("notified", sa.Integer(), server_default="0", nullable=False))
        batch.add_column(sa.Column("terms", JsonColumn, server_default="{}", nullable=False))
        batch.drop_constraint(op.f("uq_balances_scope_kind_scope_id_window_start"), type_="unique")
        batch.create_unique_constraint(
            op.f("uq_balances_scope_kind_scope_id_budget_id_window_start"),
            ["scope_kind", "scope_id", "budget_id", "window_start"],
        )
    op.create_index(op.f("ix_balances_budget_id"), "balances", ["budget_id"])


def _create_budgets() -> None:
    op.create_table(
        "budgets",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("organisation_id", sa.String(length=48), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("scope_kind", sa.String(length=16), nullable=False),
        sa.Column("scope_id", sa.String(length=300), nullable=False),
        sa.Column("is_template", sa.Boolean(), nullable=False),
        sa.Column("amount_nano", sa.BigInteger(), nullable=False),
        sa.Column("period", sa.String(length=16), nullable=False),
        sa.Column("interval_seconds", sa.Integer(), nullable=True),
        sa.Column("starts_at", Instant(), nullable=True),
        sa.Column("time_zone", sa.String(length=64), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("thresholds", JsonColumn, nullable=False),
        sa.Column("models", JsonColumn, nullable=True),
        sa.Column("raise_nano", sa.BigInteger(), nullable=False),
        sa.Column("raise_until", Instant(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budgets")),
    )
    op.create_index(op.f("ix_budgets_organisation_id"), "budgets", ["organisation_id"])
    op.create_index(op.f("ix_budgets_scope_kind_scope_id"), "budgets", ["scope_kind", "scope_id"])
    op.create_table(
        "budget_events",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("budget_id", sa.String(length=48), nullable=False),
        sa.Column("balance_id", sa.String(length=48), nullable=False),
        sa.Column("scope_kind", sa.String(length=16), nullable=False),
        sa.Column("scope_id", sa.String(length=300), nullable=False),
        sa.Column("window_start", Instant(), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("spent_nano", sa.BigInteger(), nullable=False),
        sa.Column("limit_nano", sa.BigInteger(), nullable=False),
        sa.Column("happened_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budget_events")),
    )
    op.create_index(op.f("ix_budget_events_budget_id"), "budget_events", ["budget_id"])
    op.create_index(op.f("ix_budget_events_happened_at"), "budget_events", ["happened_at"])


def _widen_calls() -> None:
    for column in (
        sa.Column("tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("end_user", sa.String(length=200), nullable=True),
        sa.Column("tags", JsonColumn, server_default="{}", nullable=False),
        sa.Column("idempotency_id", sa.String(length=64), nullable=True),
    ):
        op.add_column("reservations", column)
    op.add_column("ledger_entries", sa.Column("end_user", sa.String(length=200), nullable=True))
    for name in ("cache_write_1h_tokens", "input_audio_tokens", "output_audio_tokens", "images"):
        op.add_column(
            "ledger_entries", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
        )


def _create_rollups() -> None:
    counts = (
        "calls",
        "input_tokens",
        "cached_tokens",
        "cache_write_tokens",
        "cache_write_1h_tokens",
        "input_audio_tokens",
        "output_tokens",
        "reasoning_tokens",
        "output_audio_tokens",
        "images",
        "cost_nano",
    )
    op.create_table(
        "usage_rollups",
        sa.Column("bucket_start", Instant(), nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False),
        # Numbers first: a scan finds them without counting its way through the texts.
        *[sa.Column(name, sa.BigInteger(), nullable=False) for name in counts],
        sa.Column("organisation_id", sa.String(length=48), nullable=False),
        sa.Column("project_id", sa.String(length=48), nullable=False),
        sa.Column("user_id", sa.String(length=48), nullable=True),
        sa.Column("key_id", sa.String(length=48), nullable=False),
        sa.Column("end_user", sa.String(length=200), nullable=True),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("target_model", sa.String(length=200), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("tags", JsonColumn, nullable=False),
        sa.PrimaryKeyConstraint("bucket_start", "digest", name=op.f("pk_usage_rollups")),
        postgresql_with={"fillfactor": 70},
    )
    for column in ("organisation_id", "project_id", "key_id", "user_id"):
        op.create_index(
            op.f(f"ix_usage_rollups_{column}_bucket_start"),
            "usage_rollups",
            [column, "bucket_start"],
        )


def _create_idempotent_calls() -> None:
    op.create_table(
        "idempotent_calls",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("call_id", sa.String(length=48), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotent_calls")),
    )
    op.create_index(op.f("ix_idempotent_calls_expires_at"), "idempotent_calls", ["expires_at"])


def _rebuild_prices() -> None:
    """Five columns of rates become one document, and say who set them."""
    op.create_table(
        "suspended_targets",
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("call_id", sa.String(length=48), nullable=False),
        sa.Column("bound_nano", sa.BigInteger(), nullable=False),
        sa.Column("cost_nano", sa.BigInteger(), nullable=False),
        sa.Column("suspended_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "model", name=op.f("pk_suspended_targets")),
    )
    op.add_column("prices", sa.Column("rates", JsonColumn, server_default="{}", nullable=False))
    op.add_column(
        "prices",
        sa.Column("source", sa.String(length=16), server_default="builtin", nullable=False),
    )
    connection = op.get_bind()
    old = connection.execute(
        sa.text(
            "SELECT id, input_rate, cached_rate, cache_write_rate, output_rate, reasoning_rate "
            "FROM prices"
        )
    ).all()
    document = "CAST(:rates AS jsonb)" if connection.dialect.name == "postgresql" else ":rates"
    for row in old:
        terms = {
            "rates": {
                "input_tokens": row[1],
                "cached_tokens": row[2],
                "cache_write_tokens": row[3],
                "cache_write_1h_tokens": row[3],
                "output_tokens": row[4],
                "reasoning_tokens": row[5],
            }
        }
        connection.execute(
            sa.text(f"UPDATE prices SET rates = {document} WHERE id = :id"),  # noqa: S608 -- ours
            {"rates": json.dumps(terms), "id": row[0]},
        )
    with op.batch_alter_table("prices") as batch:
        for name in ("input", "cached", "cache_write", "output", "reasoning"):
            batch.drop_column(f"{name}_rate")
        batch.alter_column("rates", server_default=None)
        batch.alter_column("source", server_default=None)


def _make_guard() -> None:
    op.execute(
        "CREATE FUNCTION torana_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$"
    )


def _make_partitions() -> None:
    """Partitions for the months that there are rows of, and for those that come."""
    connection = op.get_bind()
    months = [
        row[0]
        for row in connection.execute(
            sa.text(
                "SELECT DISTINCT date_trunc('month', admitted_at AT TIME ZONE 'UTC') "
                "FROM ledger_entries_default"
            )
        )
    ]
    connection.exec_driver_sql("ALTER TABLE ledger_entries DETACH PARTITION ledger_entries_default")
    wanted = {month.replace(tzinfo=UTC) for month in months}
    wanted.update(partitions.months_from(datetime.now(UTC)))
    for month in sorted(wanted):
        for statement in partitions.create_statements(month):
            connection.exec_driver_sql(statement)
    connection.exec_driver_sql("INSERT INTO ledger_entries SELECT * FROM ledger_entries_default")
    connection.exec_driver_sql("DROP TABLE ledger_entries_default")
    connection.exec_driver_sql(
        "CREATE TABLE ledger_entries_default PARTITION OF ledger_entries DEFAULT"
    )


def _forbid_changes() -> None:
    """The ledger only grows; whoever must break that rule has to take the triggers away first."""
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER ledger_entries_no_{change.lower()} "
                f"BEFORE {change} ON ledger_entries "
                "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
            )
        return
    op.execute(
        "CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE ON ledger_entries "
        "FOR EACH ROW EXECUTE FUNCTION torana_append_only()"
    )
    for table in ("ledger_entries", "ledger_entries_default"):
        op.execute(partitions.forbid_truncate(table))


def _fill_rollups() -> None:
    """Sum up what the ledger holds already, as `torana.ledger.rollups` does it today."""
    connection = op.get_bind()
    is_sqlite = connection.dialect.name == "sqlite"
    bucket = (
        "admitted_at - admitted_at % 900000000"
        if is_sqlite
        else "date_bin('15 minutes', admitted_at, 'epoch')"
    )
    dimensions = (
        "organisation_id, project_id, user_id, key_id, model, provider, target_model, status"
    )
    counts = (
        "input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, "
        "cost_nano"
    )
    sums = ", ".join(f"SUM({name})" for name in counts.split(", "))
    groups = connection.exec_driver_sql(
        f"SELECT {bucket}, {dimensions}, COUNT(*), {sums} FROM ledger_entries "  # noqa: S608 -- constants
        f"GROUP BY {bucket}, {dimensions}"
    ).all()
    for row in groups:
        # Until this revision no call had an end user or tags.
        digest = hashlib.sha256(
            json.dumps(
                [*row[1:5], None, *row[5:9], {}], separators=(",", ":"), ensure_ascii=False
            ).encode()
        ).hexdigest()[:32]
        values = [row[0], digest, *row[1:9], *(int(value) for value in row[9:])]
        names = f"bucket_start, digest, {dimensions}, calls, {counts}"
        places = ", ".join(["?" if is_sqlite else "%s"] * len(values))
        zeros = "cache_write_1h_tokens, input_audio_tokens, output_audio_tokens, images"
        connection.exec_driver_sql(
            f"INSERT INTO usage_rollups ({names}, {zeros}, tags) "  # noqa: S608 -- constants
            f"VALUES ({places}, 0, 0, 0, 0, '{{}}')",
            tuple(values),
        )
