"""`torana cron` for the tests, with less patience: `python -m tests.chaos.cron_process SECONDS`.

A silent owner is swept after so many seconds, and a third of them under watch. Zero leaves the
product's own figures.
"""

from __future__ import annotations

import sys
from datetime import timedelta

from torana import cron
from torana.ledger import sweeper


def main() -> None:
    """Shorten, then work as the product does."""
    patience = float(sys.argv[1])
    if patience:
        sweeper.PATIENCE = timedelta(seconds=patience)
        sweeper.WATCH_SECONDS = patience / 3
        cron.PERIOD_SECONDS = 0.3  # type: ignore[attr-defined]
        cron._ORPHAN_SECONDS = 0.3
    cron.main()


if __name__ == "__main__":
    main()
