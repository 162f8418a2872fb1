"""Prices as administrators see them: from the list, set by hand, listed with their history.

Nothing is changed or deleted: every act adds versions from an instant on. What an operator has set
stays until an operator changes it; lists come and go around it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from torana.admin.config_version import raise_version
from torana.admin.price_list import (
    BUILTIN_NAMES,
    PriceList,
    in_force,
    list_of,
    model_list,
    shipped,
)
from torana.core.money import PriceTerms
from torana.db.models import Provider
from torana.db.session import Database
from torana.errors import InvalidRequest
from torana.ledger.locking import database_now
from torana.ledger.prices import NO_PRICE, NewVersion, Version, add_versions, versions

OPERATOR, LIST, FILE, BUILTIN = "operator", "list", "file", "builtin"
_OF_SETTINGS = ("openai", "anthropic", *sorted(BUILTIN_NAMES))
"""Providers that need no row: they come from settings."""
_NAME_LIMIT = 200
Timeline = Sequence[tuple[datetime | None, PriceTerms]]
"""What a list says of a model: by instant, None for what is in force already."""


class PriceChange(msgspec.Struct, frozen=True, kw_only=True):
    """A version that was added, or would be, and what it follows."""

    provider: str
    model: str
    valid_from: datetime
    before: PriceTerms | None
    after: PriceTerms | None


class PriceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A version as it is listed."""

    provider: str
    model: str
    source: str
    valid_from: datetime
    in_force: bool
    price_id: str
    terms: PriceTerms | None


def seed_prices(database: Database) -> None:
    """Give every provider that the shipped list knows its prices; idempotent."""
    with database.write(alone=True) as session:
        if _follow(session, shipped(), LIST, {LIST, NO_PRICE}, database_now(session)):
            raise_version(session)


def price_from_list(session: Session, provider: str, now: datetime) -> None:
    """Give one provider, which is new, its prices if the shipped list knows it."""
    _follow(session, shipped(), LIST, {LIST, NO_PRICE}, now, only=(provider,))


def update_prices(
    database: Database, brought: PriceList | None = None, *, dry_run: bool = False
) -> list[PriceChange]:
    """Let every price that no operator set follow a list.

    Args:
        database: the prices are there.
        brought: the list; the shipped one when it is None.
        dry_run: change nothing, only say what would change.
    """
    with database.write(alone=True) as session:
        source = LIST if brought is None else FILE
        changes = _follow(
            session,
            brought or shipped(),
            source,
            {LIST, FILE, NO_PRICE},
            database_now(session),
            dry_run=dry_run,
        )
        if changes and not dry_run:
            raise_version(session)
    return changes


def set_by_operator(
    database: Database,
    *,
    provider: str,
    model: str,
    terms: PriceTerms,
    begins: datetime | None = None,
) -> PriceRow:
    """Set a model's price from an instant on; announced prices of lists no longer apply to it.

    Raises:
        InvalidRequest: the provider is unknown, the name is not usable, the instant is past.
    """
    with database.write(alone=True) as session:
        now = database_now(session)
        _check_target(session, provider, model)
        if begins is not None and begins < now:
            raise InvalidRequest(
                "A price can't begin in the past: calls have been priced since.", param="from"
            )
        start = begins or now
        known = versions(session, providers=(provider,), model=model)
        instants = [start]
        for version in known:
            if version.valid_from > start:
                if version.source == OPERATOR:
                    break
                instants.append(version.valid_from)
        add_versions(session, _new(provider, model, [(at, terms) for at in instants], OPERATOR))
        raise_version(session)
        return _rows(versions(session, providers=(provider,), model=model), now, start)[-1]


def reset_price(database: Database, *, provider: str, model: str) -> PriceTerms | None:
    """Let a model follow the shipped list again; the price it has now, None when it has none.

    Raises:
        InvalidRequest: the provider is unknown, or the model never had a price.
    """
    with database.write(alone=True) as session:
        now = database_now(session)
        _check_target(session, provider, model)
        listed = shipped().models(provider)
        name = list_of(listed).canonical(model)
        wanted = in_force(listed[name], now) if name is not None else []
        known = versions(session, providers=(provider,), model=model)
        if not known and not wanted:
            raise InvalidRequest(f"{provider}/{model} has no price.", param="model")
        present = wanted[0][1] if wanted and wanted[0][0] is None else None
        coming = {at for at, _ in wanted if at is not None}
        coming |= {version.valid_from for version in known if version.valid_from > now}
        moments = [(now, present), *((at, _at(wanted, at)) for at in sorted(coming))]
        add_versions(session, _new(provider, model, moments, _source(provider, LIST)))
        raise_version(session)
        return present


def list_prices(
    database: Database,
    *,
    provider: str | None = None,
    model: str | None = None,
    history: bool = False,
) -> list[PriceRow]:
    """Prices by provider and model: those in force, or all versions, the newest first.

    Args:
        database: the prices are there.
        provider: only this one's.
        model: only this one's; a dated name finds the price of its model.
        history: also what was, and what is announced.
    """
    if provider is not None and not provider.isprintable():
        return []  # PostgreSQL refuses to look for it.
    with database.read() as session:
        now = database_now(session)
        found = versions(session, providers=None if provider is None else (provider,))
    rows = _rows(found, now, None)
    if model is not None:
        rows = [row for row in rows if _is_called(row, model)]
    if not history:
        rows = [row for row in rows if row.in_force and row.terms is not None]
    rows.reverse()
    return sorted(rows, key=lambda row: (row.provider, row.model))


def _is_called(row: PriceRow, model: str) -> bool:
    return row.model in {model, model_list(row.provider).canonical(model)}


def _rows(found: Sequence[Version], now: datetime, only: datetime | None) -> list[PriceRow]:
    present = {
        (version.provider, version.model): version.id
        for version in found
        if version.valid_from <= now
    }
    return [
        PriceRow(
            provider=version.provider,
            model=version.model,
            source=version.source,
            valid_from=version.valid_from,
            in_force=present.get((version.provider, version.model)) == version.id,
            price_id=version.id,
            terms=version.terms,
        )
        for version in found
        if only is None or version.valid_from == only
    ]


def _check_target(session: Session, provider: str, model: str) -> None:
    known = {*_OF_SETTINGS, *session.scalars(select(Provider.name))}
    if provider not in known:
        raise InvalidRequest(
            f"There is no provider {provider[:64]!r}; there are {', '.join(sorted(known))}.",
            param="provider",
        )
    if not 0 < len(model) <= _NAME_LIMIT or not model.isprintable() or model != model.strip():
        raise InvalidRequest(
            f"A model's name has 1 to {_NAME_LIMIT} printable characters.", param="model"
        )


# --- following a list --------------------------------------------------------------------------


def _follow(
    session: Session,
    source_list: PriceList,
    source: str,
    replaces: Collection[str],
    now: datetime,
    *,
    only: Collection[str] | None = None,
    dry_run: bool = False,
) -> list[PriceChange]:
    """Add the versions that make the prices of a list true, without touching what others set."""
    names = only
    if names is None:
        names = {*_OF_SETTINGS, *session.scalars(select(Provider.name))}
    names = sorted(source_list.names & set(names))
    timelines: dict[tuple[str, str], list[Version]] = {}
    for version in versions(session, providers=names):
        timelines.setdefault((version.provider, version.model), []).append(version)
    added: list[NewVersion] = []
    changes: list[PriceChange] = []
    for provider in names:
        mark = _source(provider, source)
        wanted = _wanted(source_list, provider, timelines, now, names_too=source == FILE)
        for model, timeline in wanted.items():
            known = timelines.get((provider, model), ())
            missing = _missing(known, timeline, mark, {*replaces, mark}, now)
            added += _new(provider, model, missing, mark)
            changes += [
                PriceChange(
                    provider=provider,
                    model=model,
                    valid_from=at,
                    before=_in_force_at(known, at),
                    after=terms,
                )
                for at, terms in missing
                if _in_force_at(known, at) != terms
            ]
    if not dry_run:
        add_versions(session, added)
    return changes


def _wanted(
    source_list: PriceList,
    provider: str,
    timelines: Mapping[tuple[str, str], Sequence[Version]],
    now: datetime,
    *,
    names_too: bool,
) -> dict[str, Timeline]:
    """What the list says of each model of a provider, and of rows under its other names.

    Args:
        source_list: the list.
        provider: the provider's name.
        timelines: the rows that there are.
        now: the present.
        names_too: also make rows for names that the shipped list does not know: every process
            knows only that one.
    """
    models = source_list.models(provider)
    wanted = {name: in_force(model, now) for name, model in models.items()}
    names = list_of(models)
    others = {model for known, model in timelines if known == provider} - set(wanted)
    if names_too:
        shipped_names = model_list(provider)
        others |= {
            alias
            for alias, name in names.aliases.items()
            if shipped_names.canonical(alias) != name and alias not in wanted
        }
    for other in others:
        name = names.canonical(other)
        if name is not None:
            wanted[other] = wanted[name]
    return {name: timeline for name, timeline in wanted.items() if timeline}


def _missing(
    known: Sequence[Version],
    wanted: Timeline,
    source: str,
    replaces: Collection[str],
    now: datetime,
) -> list[tuple[datetime, PriceTerms]]:
    """The versions to add so that a model costs what the list says, now and at later instants."""
    begun = [version for version in known if version.valid_from <= now]
    if begun and begun[-1].source not in replaces:
        return []
    missing: list[tuple[datetime, PriceTerms]] = []
    present = _at(wanted, now)
    if present is not None and (
        not begun or begun[-1].terms != present or begun[-1].source != source
    ):
        missing.append((now, present))
    stored = {version.valid_from: version for version in known if version.valid_from > now}
    for instant in sorted({*stored, *(at for at, _ in wanted if at is not None)}):
        row = stored.get(instant)
        if row is not None and row.source not in replaces:
            break  # From here on it is an operator's.
        terms = _at(wanted, instant)
        if terms is not None and (row is None or row.terms != terms):
            missing.append((instant, terms))
    return missing


def _at(wanted: Timeline, instant: datetime) -> PriceTerms | None:
    found = None
    for at, terms in wanted:
        if at is None or at <= instant:
            found = terms
    return found


def _in_force_at(known: Sequence[Version], instant: datetime) -> PriceTerms | None:
    begun = [version for version in known if version.valid_from <= instant]
    return begun[-1].terms if begun else None


def _source(provider: str, source: str) -> str:
    return BUILTIN if provider in BUILTIN_NAMES else source


def _new(
    provider: str,
    model: str,
    moments: Iterable[tuple[datetime, PriceTerms | None]],
    source: str,
) -> list[NewVersion]:
    return [
        NewVersion(
            provider=provider,
            model=model,
            valid_from=at,
            terms=terms,
            source=NO_PRICE if terms is None else source,
        )
        for at, terms in moments
    ]
