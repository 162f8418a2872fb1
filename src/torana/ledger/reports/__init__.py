"""Reading the books: entries, sums, and whether everything agrees. Nothing here writes."""

from torana.ledger.reports.entries import (
    COLUMNS,
    Entry,
    Page,
    entries_of_call,
    entry_page,
    stream_entries,
)
from torana.ledger.reports.filters import ALL, Filter, key_ids, project_ids, user_ids
from torana.ledger.reports.periods import (
    WORDS,
    Period,
    Span,
    parse_instant,
    parse_period,
    parse_span,
    time_zone,
)
from torana.ledger.reports.usage import (
    FIGURES,
    GROUPS,
    NAMED,
    TAG,
    UTC_ZONE,
    Sums,
    UsageRow,
    check_groups,
    total_of,
    usage,
)
from torana.ledger.reports.verify import Difference, verify

__all__ = [
    "ALL",
    "COLUMNS",
    "FIGURES",
    "GROUPS",
    "NAMED",
    "TAG",
    "UTC_ZONE",
    "WORDS",
    "Difference",
    "Entry",
    "Filter",
    "Page",
    "Period",
    "Span",
    "Sums",
    "UsageRow",
    "check_groups",
    "entries_of_call",
    "entry_page",
    "key_ids",
    "parse_instant",
    "parse_period",
    "parse_span",
    "project_ids",
    "stream_entries",
    "time_zone",
    "total_of",
    "usage",
    "user_ids",
    "verify",
]
