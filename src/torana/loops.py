"""Background loops: what a process does again and again beside its calls."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from torana.errors import ToranaError

logger = logging.getLogger("torana.loops")


class Loop:
    """Work that is done every so often, whatever happens to one round of it.

    Args:
        name: for the log.
        work: one round.
        seconds: from the end of a round to the next.
    """

    def __init__(self, name: str, work: Callable[[], object], *, seconds: float) -> None:
        self.name = name
        self._work = work
        self._seconds = seconds
        self._failing = False

    def run(self, stopping: threading.Event) -> None:
        """Work until `stopping` is set."""
        while not stopping.wait(self._seconds):
            self.run_once()

    def run_once(self) -> bool:
        """One round; what goes wrong is logged, and the next round tries again.

        Returns:
            Whether it went well.
        """
        try:
            self._work()
        except ToranaError as error:
            self._fails(error.code)
        except Exception:
            # Whatever it is (a table that a migration has taken away), the next round may work.
            logger.exception("loop.failed", extra={"loop": self.name})
            self._failing = True
        else:
            if self._failing:
                logger.info("loop.recovered", extra={"loop": self.name})
            self._failing = False
            return True
        return False

    def start(self, stopping: threading.Event) -> None:
        """Run beside everything else of this process."""
        threading.Thread(target=self.run, args=(stopping,), name=self.name, daemon=True).start()

    def _fails(self, code: str) -> None:
        """Say so once, and not at every round of an outage."""
        if not self._failing:
            logger.warning("loop.failed", extra={"loop": self.name, "error_code": code})
        self._failing = True
