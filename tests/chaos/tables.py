"""The table of figures that a run prints."""

from __future__ import annotations

from collections.abc import Mapping

from tests.chaos.books import Audit
from tests.chaos.callers import Callers
from tests.chaos.watcher import Watch


def table(
    callers: Callers, audit: Audit, watch: Watch, more: Mapping[str, object] | None = None
) -> dict[str, object]:
    """The figures of a run, in nano-dollars where they are money."""
    seconds = callers.ended - callers.began
    calls = len(callers.seen)
    ends = ", ".join(f"{name} {count:,}" for name, count in sorted(callers.statuses.items()))
    return {
        "calls": calls,
        "as callers saw them": ends,
        "admitted (on the ledger)": audit.calls,
        "served by the simulator": audit.served,
        "abandoned at their bound": audit.abandoned,
        "corrections": audit.corrected,
        "counted at their bound": audit.at_bound,
        "never heard of upstream": audit.unheard,
        **(more or {}),
        "simulator's bill": audit.bill,
        "abandoned": audit.abandoned_nano,
        "ledger": audit.ledger,
        "balance": audit.balance,
        "rollups": audit.rollups,
        "limit": watch.limit,
        "most spent + reserved seen": watch.most,
        "overspent states": audit.overspends,
        "snapshots / verified": f"{watch.polls:,} / {watch.verified}",
        "seconds": f"{seconds:.1f}",
        "calls/s": f"{calls / max(seconds, 0.001):.0f}",
    }
