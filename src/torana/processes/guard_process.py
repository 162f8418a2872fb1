"""The guard: ends what a dead `up` left running.

Run as `python -P -m torana.processes.guard_process GRACE_SECONDS`, in a session of its own. On its
standard input it reads lines of pids, the last line being the children that run now. When the
input ends and the last line was not empty, `up` was killed. Then the children's families have
`GRACE_SECONDS` to end, and after that they are killed.

The kernel's own signal (`launch`) reaches a child, not the child's children, and asks politely;
the guard covers both, and systems without that signal. It must not know what the children are, and
imports next to nothing because it lives as long as `up`.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Sequence

from torana.processes.family import Family

TITLE = "torana: guard"
POLL_SECONDS = 0.1


def end(leaders: Sequence[int], grace: float) -> None:
    """Wait until the families are gone; ask those that outlive their leader; kill the rest.

    A leader is asked only where the kernel did not: some programs take a second request to stop
    as one to stop at once.
    """
    deadline = time.monotonic() + grace
    kernel_asks = sys.platform == "linux"
    families = [Family(leader) for leader in leaders]
    unasked = list(families)
    while (families := [f for f in families if f.alive()]) and time.monotonic() < deadline:
        for family in families:
            family.look()
        for family in [f for f in unasked if not (kernel_asks and f.leader_runs())]:
            unasked.remove(family)
            family.send(signal.SIGTERM)
        time.sleep(POLL_SECONDS)
    for family in families:
        family.send(signal.SIGKILL)


def main(arguments: Sequence[str]) -> None:
    """Read pids until the input ends, then end what is left of them."""
    with contextlib.suppress(ImportError):  # the title is a courtesy
        from setproctitle import setproctitle  # noqa: PLC0415

        setproctitle(TITLE)
    leaders: list[int] = []
    for line in sys.stdin:
        leaders = [int(word) for word in line.split()]
    end(leaders, float(arguments[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
