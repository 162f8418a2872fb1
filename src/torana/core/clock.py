"""Time as values: aware UTC instants, and nothing else.

Money never reads a process's clock: the ledger asks the database. This clock is for logs, caches
and files, where an error of a second does no harm.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def utc_now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC)


def isoformat(instant: datetime) -> str:
    """An instant as RFC 3339 with milliseconds and a `Z`, as the management API writes it."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch_seconds(instant: datetime) -> int:
    """Whole Unix seconds, as OpenAI's objects write time."""
    return int(instant.timestamp())


def microseconds(instant: datetime) -> int:
    """An instant as whole microseconds since 1970: exact, where a float of seconds is not."""
    return (instant - EPOCH) // _MICROSECOND


def instant_at(since_1970: int) -> datetime:
    """The instant of so many microseconds since 1970."""
    return EPOCH + since_1970 * _MICROSECOND
