"""What stands in a balance's `terms`: the limits of an account, the definition of a budget."""

from __future__ import annotations

from typing import Any

import msgspec

from torana.core.model_lists import allows

__all__ = ["NO_TERMS", "BudgetTerms", "Terms", "allows", "read_terms", "write_terms"]


class BudgetTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A budget as each of its windows carries it, so that the next one can be made from it.

    Attributes:
        amount_nano: the most that may be spent in a window.
        period: `day`, `week`, `month`, `total` or `interval`.
        interval_seconds: the length of an `interval` window.
        starts_at: when the first `interval` window began, or `total` began to count; microseconds
            since 1970.
        zone: the IANA name of the time zone in which days, weeks and months begin.
        mode: `refuse` or `clamp`.
        thresholds: percents of the limit at which an event is written, rising.
        models: the only names that may be asked for, None for all; `gpt-4o*` stands for all
            that begin so.
        raise_nano: what is added to the amount until `raise_until` (microseconds since 1970).
    """

    amount_nano: int
    period: str
    interval_seconds: int = 0
    starts_at: int = 0
    zone: str = "UTC"
    mode: str = "refuse"
    thresholds: tuple[int, ...] = (50, 80, 100)
    models: tuple[str, ...] | None = None
    raise_nano: int = 0
    raise_until: int = 0

    def raise_at(self, now_us: int) -> int:
        """What is added to the amount at an instant, in microseconds since 1970."""
        return self.raise_nano if now_us < self.raise_until else 0


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The terms of a balance.

    Attributes:
        rpm, tpm, concurrency: requests and tokens a minute, and open calls, that an account allows.
        models: the only names that may be asked for; None for all.
        windows: on an account, the balances of its budgets' present windows.
        dimensions: on the account of a project or organisation, what else its calls are counted by:
            `end_user`, or `tag:NAME`.
        revision: on such an account, raised when a budget of such a dimension is made.
        budget: on a window, its budget.
    """

    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None
    models: tuple[str, ...] | None = None
    windows: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    revision: int = 0
    budget: BudgetTerms | None = None


NO_TERMS = Terms()


def read_terms(document: dict[str, Any]) -> Terms:
    """The terms in a row's JSON."""
    return msgspec.convert(document, Terms)


def write_terms(terms: Terms) -> dict[str, Any]:
    """Terms as a row's JSON."""
    document: dict[str, Any] = msgspec.to_builtins(terms)
    return document
