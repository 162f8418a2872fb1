"""The ledger's columns for images, speech and search come to rows that are there already."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from torana.db.migrate import upgrade
from torana.db.migrations import versions
from torana.db.session import Database

NEW = ("input_image_tokens", "output_image_tokens", "characters", "audio_seconds", "searches")
WHEN = datetime(2026, 1, 2, tzinfo=UTC)


def fill(connection: sa.Connection, table: str) -> None:
    """Insert a row with something in every column."""
    reflected = sa.Table(table, sa.MetaData(), autoload_with=connection)
    columns, values = [], {}
    for column in reflected.columns:
        kind = str(column.type).upper()
        value: Any = "x"
        if column.name in {"admitted_at", "posted_at", "bucket_start"}:
            value = WHEN if "TIMESTAMP" in kind else 1_767_312_000_000_000
        elif column.name in {"tags", "attempts"}:
            value = "{}"
        elif column.name == "streamed":
            value = False
        elif "INT" in kind:
            value = 7
        place = f"CAST(:{column.name} AS jsonb)" if "JSONB" in kind else f":{column.name}"
        columns.append((column.name, place))
        values[column.name] = value
    names = ", ".join(name for name, _ in columns)
    places = ", ".join(place for _, place in columns)
    connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)  # noqa: S608 -- ours


def test_rows_from_before_have_none_of_the_new_units(database_url):
    database = Database(database_url)
    config = Config()
    config.set_main_option("script_location", str(versions.__path__[0]).removesuffix("/versions"))
    with database.writing_engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        for table in ("ledger_entries", "usage_rollups"):
            fill(connection, table)
        connection.commit()
    before, _ = upgrade(database)
    assert before == "0004"
    with database.engine.connect() as connection:
        for table in ("ledger_entries", "usage_rollups"):
            row = connection.execute(sa.text(f"SELECT * FROM {table}")).one()._mapping  # noqa: S608
            assert {name: row[name] for name in NEW} == dict.fromkeys(NEW, 0)
            assert row["images"] == 7
    database.dispose()
