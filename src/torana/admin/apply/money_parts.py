"""Projects, limits, budgets and prices as parts of a file."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import select

from torana.admin import budgets as budgets_admin
from torana.admin import limits as limits_admin
from torana.admin.apply.difference import Change, compare, words
from torana.admin.apply.locator import Path
from torana.admin.apply.part import Need, Part
from torana.admin.apply.schema import WantedBudget, WantedLimits, WantedPrice, WantedProject
from torana.admin.price_terms import AMOUNTS, TermsView, describe, make_terms
from torana.admin.prices import OPERATOR, list_prices, set_by_operator
from torana.admin.scopes import ScopeRef, resolve
from torana.admin.tenancy import create_project, default_organisation, list_projects
from torana.core.clock import microseconds
from torana.core.money import NANO_PER_USD, PriceTerms, format_usd, parse_usd
from torana.db.models import Budget
from torana.db.session import Database
from torana.errors import Conflict
from torana.ledger.accounts import terms_of
from torana.ledger.terms import BudgetTerms


class ProjectPart(Part):
    """`[[projects]]`."""

    kind = "project"

    def __init__(self, wanted: WantedProject, path: Path) -> None:
        super().__init__(wanted.name.strip(), path)

    def compare(self, database: Database) -> Change | None:
        """See `Part`."""
        with database.read() as session:
            home = default_organisation(session).id
        known = {project.name for project in list_projects(database, organisation_id=home)}
        return None if self.name in known else self.added()

    def write(self, database: Database) -> None:
        """See `Part`."""
        create_project(database, name=self.name)


class _OfScope(Part):
    """What belongs to a scope."""

    def __init__(self, wanted: WantedLimits | WantedBudget, path: Path, name: str) -> None:
        super().__init__(name, path)
        self._ref = ScopeRef(kind=wanted.scope, id=wanted.id, project=wanted.project)

    @property
    def scope(self) -> ScopeRef:
        """Whose account it writes to."""
        return self._ref

    @property
    def needs(self) -> frozenset[Need]:
        """The project that it is about."""
        ref = self._ref
        named = {ref.project, ref.id if ref.kind == "project" else None}
        return frozenset(("project", name) for name in named if name is not None)


_UNLIMITED = limits_admin.LimitsChange(
    rpm=None, tpm=None, concurrency=None, models=None, suspended=False
)


class LimitsPart(_OfScope):
    """`[[limits]]`."""

    kind = "limits"

    def __init__(self, wanted: WantedLimits, path: Path) -> None:
        super().__init__(wanted, path, f"of {scope_name(wanted)}")
        self._wanted = wanted

    def compare(self, database: Database) -> Change | None:
        """See `Part`."""
        (view,) = limits_admin.list_limits(database, ref=self._ref)
        wanted = self._wanted
        before = limits_admin.LimitsChange(
            rpm=view.rpm,
            tpm=view.tpm,
            concurrency=view.concurrency,
            models=tuple(view.models) if view.models is not None else None,
            suspended=view.blocked is not None,
        )
        after = self._change()
        if wanted.suspended is None:
            after = msgspec.structs.replace(after, suspended=before.suspended)
        if before == _UNLIMITED != after:
            limits = msgspec.structs.asdict(after).items()
            return self.added(
                ", ".join(f"{name} {words(value)}" for name, value in limits if value)
            )
        return self.changed(compare(before, after))

    def write(self, database: Database) -> None:
        """See `Part`."""
        limits_admin.set_limits(database, self._ref, self._change())

    def _change(self) -> limits_admin.LimitsChange:
        wanted = self._wanted
        return limits_admin.LimitsChange(
            rpm=wanted.rpm,
            tpm=wanted.tpm,
            concurrency=wanted.concurrency,
            models=wanted.models,
            suspended=msgspec.UNSET if wanted.suspended is None else wanted.suspended,
        )


class BudgetPart(_OfScope):
    """`[[budgets]]`; a raise of a budget stays."""

    kind = "budget"
    own_names = {"amount": "amount_usd"}  # noqa: RUF012 -- a constant

    def __init__(self, wanted: WantedBudget, path: Path) -> None:
        wanted = msgspec.structs.replace(wanted, name=wanted.name.strip())
        named = f'"{wanted.name}" ' if wanted.name else ""
        super().__init__(wanted, path, f"{named}of {scope_name(wanted)}")
        self._wanted = wanted

    def compare(self, database: Database) -> Change | None:
        """See `Part`."""
        present = self._present(database)
        wanted = self._wanted
        if present is None:
            every = f"every {wanted.interval_seconds} s" if wanted.interval_seconds else ""
            return self.added(f"{_usd(wanted.amount_usd)} USD, {every or wanted.period}")
        terms = terms_of(present)
        before = msgspec.structs.replace(
            wanted,
            amount_usd=Decimal(terms.amount_nano) / NANO_PER_USD,
            period=terms.period,
            interval_seconds=terms.interval_seconds,
            starts_at=present.starts_at,
            time_zone=terms.zone,
            mode=terms.mode,
            thresholds=terms.thresholds,
            models=terms.models,
        )
        return self.changed(compare(before, wanted))

    def write(self, database: Database) -> None:
        """See `Part`."""
        wanted = self._wanted
        nano = parse_usd(str(wanted.amount_usd))
        present = self._present(database)
        if present is None:
            terms = BudgetTerms(
                amount_nano=nano,
                period=wanted.period,
                interval_seconds=wanted.interval_seconds,
                starts_at=microseconds(wanted.starts_at) if wanted.starts_at is not None else 0,
                zone=wanted.time_zone,
                mode=wanted.mode,
                thresholds=wanted.thresholds,
                models=wanted.models,
            )
            budgets_admin.create_budget(database, self._ref, terms, name=wanted.name)
            return
        change = budgets_admin.BudgetChange(
            amount_nano=nano,
            period=wanted.period,
            interval_seconds=wanted.interval_seconds,
            starts_at=wanted.starts_at,
            zone=wanted.time_zone,
            mode=wanted.mode,
            thresholds=wanted.thresholds,
            models=wanted.models,
        )
        budgets_admin.update_budget(database, present.id, change)

    def _present(self, database: Database) -> Budget | None:
        with database.read() as session:
            scope = resolve(session, self._ref, organisation_id=None)
            query = select(Budget).where(
                Budget.scope_kind == scope.kind,
                Budget.scope_id == scope.id,
                Budget.name == self._wanted.name,
            )
            found = session.scalars(query).all()
        if len(found) > 1:
            raise Conflict(
                f"There are {len(found)} budgets {self.name}, so it is not known which is meant.",
                hint="Give them different names with `torana budgets set ID --name NAME`.",
                param="name",
            )
        return found[0] if found else None


class PricePart(Part):
    """`[[prices]]`: what an operator has set, from now on."""

    kind = "price"

    def __init__(self, wanted: WantedPrice, path: Path) -> None:
        super().__init__(f"of {wanted.provider}/{wanted.model}", path)
        self._wanted = wanted

    @property
    def needs(self) -> frozenset[Need]:
        """Its provider."""
        return frozenset({("provider", self._wanted.provider)})

    def compare(self, database: Database) -> Change | None:
        """See `Part`."""
        wanted, terms = self._wanted, describe(self._terms())
        rows = list_prices(database, provider=wanted.provider)
        row = next((row for row in rows if row.model == wanted.model), None)
        if row is None or row.terms is None:
            usd = {name: words(amount) for name, amount in _given(wanted).items()}
            return self.added(", ".join(f"{name} {amount}" for name, amount in usd.items()))
        differences = compare(_plain(describe(row.terms), row.source), _plain(terms, OPERATOR))
        # What was left out follows from the rest, and is told only where nothing else is.
        implied = {name for name, usd in _amounts(wanted).items() if usd is None}
        named = tuple(each for each in differences if each.what not in implied)
        return self.changed(named or differences)

    def write(self, database: Database) -> None:
        """See `Part`."""
        wanted = self._wanted
        set_by_operator(database, provider=wanted.provider, model=wanted.model, terms=self._terms())

    def _terms(self) -> PriceTerms:
        wanted = self._wanted
        tiers = [(tier.above, _amounts(tier)) for tier in wanted.tiers]
        return make_terms(
            _amounts(wanted),
            tiers,
            image_variants={name: str(usd) for name, usd in wanted.image_variants.items()},
            batch_percent=wanted.batch_percent,
        )


def _plain(terms: TermsView, source: str) -> dict[str, Any]:
    """A price with the names that it has in a file."""
    return {
        **terms.usd,
        "tiers": [{"above": tier.above, **tier.usd} for tier in terms.tiers],
        "image_variants": terms.image_variants,
        "batch_percent": terms.batch_percent,
        "source": source,
    }


def scope_name(wanted: WantedLimits | WantedBudget) -> str:
    """What people call a scope."""
    place = f" in {wanted.project}" if wanted.project is not None else ""
    return f"{wanted.scope} {wanted.id}{place}"


def _given(wanted: WantedPrice) -> dict[str, Decimal]:
    amounts = {name: getattr(wanted, name) for name in AMOUNTS}
    return {name: usd for name, usd in amounts.items() if usd is not None} | wanted.image_variants


def _amounts(wanted: msgspec.Struct) -> dict[str, str | None]:
    amounts = {name: getattr(wanted, name) for name in AMOUNTS}
    return {name: None if usd is None else str(usd) for name, usd in amounts.items()}


def _usd(amount: Decimal) -> str:
    return format_usd(parse_usd(str(amount)))
