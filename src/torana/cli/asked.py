"""Options that reports share: which calls, and of what time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec
from sqlalchemy.orm import Session

from torana.core.clock import utc_now
from torana.errors import InvalidRequest
from torana.ledger import reports

F = TypeVar("F", bound=Callable[..., Any])


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The options as they were typed."""

    period: str | None
    since: str | None
    until: str | None
    time_zone: str
    project: tuple[str, ...]
    key: tuple[str, ...]
    user: tuple[str, ...]
    end_user: tuple[str, ...]
    model: tuple[str, ...]
    provider: tuple[str, ...]
    status: tuple[str, ...]
    tag: tuple[str, ...]


def calls_options(function: F) -> F:
    """The options that become an `Asked`."""
    options = (
        click.option(
            "--period",
            help="2026-11 (a month), 2026-11-05, 2026-11-01/P1M, 2026-11-01/2026-11-15, today, "
            "yesterday, this-week, last-week, this-month, last-month, this-year or last-year.",
        ),
        click.option("--since", help="Only calls from this date or instant on."),
        click.option("--until", help="Only calls before this date or instant."),
        click.option(
            "--time-zone",
            default="UTC",
            show_default=True,
            help="Of dates, and of instants without an offset; such as Europe/Berlin.",
        ),
        click.option("--project", multiple=True, help="Name or id; repeat it for several."),
        click.option("--key", multiple=True, help="Name or id of an API key."),
        click.option("--user", multiple=True, help="E-mail address or id."),
        click.option("--end-user", multiple=True, help="A caller's own name of its user."),
        click.option("--model", multiple=True, help="As it was asked for."),
        click.option("--provider", multiple=True, help="Name of a provider."),
        click.option("--status", multiple=True, help="ok, error, cancelled, abandoned ..."),
        click.option("--tag", multiple=True, help="NAME=VALUE; of several, a call has all."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def span_of(asked: Asked) -> reports.Span:
    """The time that is asked about.

    Raises:
        ValidationFailed: it can't be read.
        InvalidRequest: it is told twice.
    """
    zone = reports.time_zone(asked.time_zone)
    if asked.period is not None and (asked.since is not None or asked.until is not None):
        raise InvalidRequest("--period can't be joined with --since or --until; use one.")
    return reports.parse_span(
        period=asked.period,
        since=asked.since,
        until=asked.until,
        zone=zone,
        now=utc_now(),
    )


def filter_of(session: Session, asked: Asked) -> reports.Filter:
    """The calls that are asked about.

    Raises:
        NotFound: there is no project, key or user of a name.
        InvalidRequest: a tag is not written as NAME=VALUE.
    """
    tags = []
    for text in asked.tag:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise InvalidRequest(f"{text[:40]!r} is not NAME=VALUE.", param="tag")
        tags.append((name, value))
    return reports.Filter(
        project_id=reports.project_ids(session, asked.project),
        key_id=reports.key_ids(session, asked.key),
        user_id=reports.user_ids(session, asked.user),
        end_user=asked.end_user,
        model=asked.model,
        provider=asked.provider,
        status=asked.status,
        tags=tuple(tags),
    )
