"""Rollups: the ledger's sums by quarter of an hour, written with the entries they sum up.

All calls that share a rollup row share an API key, and whoever writes one holds the lock of that
key's account: two batches never wait for each other here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from torana.core.usage import CLASSES

BUCKET = timedelta(minutes=15)
"""All time zones in use differ from UTC by whole quarters of an hour, so days sum up from these."""
DIMENSIONS = (
    "organisation_id",
    "project_id",
    "user_id",
    "key_id",
    "end_user",
    "model",
    "provider",
    "target_model",
    "status",
    "tags",
)
COUNTS = ("calls", *CLASSES, "cost_nano")
_encoder = msgspec.json.Encoder(order="sorted")


def bucket_of(instant: datetime) -> datetime:
    """The beginning of an instant's quarter of an hour."""
    return instant.replace(minute=instant.minute - instant.minute % 15, second=0, microsecond=0)


def whole_buckets(start: datetime, end: datetime | None) -> tuple[datetime, datetime | None] | None:
    """The quarters of an hour that lie within a window as a whole.

    Args:
        start: the first instant of the window.
        end: the first instant after it; None for an open end.

    Returns:
        The first of them and the end of the last; None if there is none.
    """
    first = bucket_of(start)
    if first < start:
        first += BUCKET
    if end is None:
        return first, None
    last = bucket_of(end)
    return (first, last) if first < last else None


def digest_of(dimensions: Mapping[str, Any]) -> str:
    """What identifies a combination of all `DIMENSIONS`: 32 hex digits."""
    values = [dimensions[name] for name in DIMENSIONS]
    return hashlib.sha256(_encoder.encode(values)).hexdigest()[:32]


def sums_of(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rollup rows of a batch's ledger entries, each with what is to be added to it.

    Args:
        entries: rows of `ledger_entries` as mappings by column.
    """
    found: dict[tuple[datetime, str], dict[str, Any]] = {}
    for entry in entries:
        bucket = bucket_of(entry["admitted_at"])
        digest = digest_of(entry)
        row = found.get((bucket, digest))
        if row is None:
            row = {"bucket_start": bucket, "digest": digest}
            row |= {name: entry[name] for name in DIMENSIONS}
            row |= dict.fromkeys(COUNTS, 0)
            found[bucket, digest] = row
        row["calls"] += entry["seq"] == 0
        for name in CLASSES:
            row[name] += entry[name]
        row["cost_nano"] += entry["cost_nano"]
    return [found[key] for key in sorted(found)]
