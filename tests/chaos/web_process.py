"""`torana serve` for the tests: the same server, with failpoints, a quicker pulse, a wrong clock.

    python -m tests.chaos.web_process --folder F [--beat 0.4] [--skew 3600]

Everything is changed in the worker, after gevent has patched it and before the services are built.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from torana import app


class ChaosServer(app.WebServer):
    """The web server of the product, whose workers are prepared first."""

    def load(self) -> Any:
        """The application of a worker."""
        options = _options()
        if options.skew:
            _skew(options.skew)
        if options.beat:
            from torana.ledger import owners

            owners.BEAT_SECONDS = options.beat
        from tests.chaos import failpoints

        failpoints.install(options.folder)
        return super().load()


def _skew(seconds: float) -> None:
    """Set this process's clock wrong, before anything has taken a reference to it."""
    from torana.core import clock

    shift = timedelta(seconds=seconds)
    now, now_ns = time.time, time.time_ns  # noqa: TID251 -- it is the clock that is wrong
    clock.utc_now = lambda: datetime.now(UTC) + shift
    time.time = lambda: now() + seconds  # noqa: TID251 -- as above
    time.time_ns = lambda: now_ns() + round(seconds * 1_000_000_000)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--beat", type=float, default=0.0)
    parser.add_argument("--skew", type=float, default=0.0)
    return parser.parse_args()


if __name__ == "__main__":
    app.WebServer = ChaosServer  # type: ignore[misc]
    app.main()
