"""The lines of the log that say who has changed the configuration, and what of it."""

from __future__ import annotations

import logging

from torana.admin.budgets import MACHINE as MACHINE  # noqa: PLC0414 -- known here

logger = logging.getLogger("torana.admin")


def log_change(event: str, actor: str, subject_id: str, subject: str) -> None:
    """Write the line, after the commit.

    Args:
        event: such as `provider.added`.
        actor: who did it: the id of a key, or `MACHINE` for whoever has the machine.
        subject_id: of the row.
        subject: its name.
    """
    logger.info(event, extra={"actor": actor, "subject_id": subject_id, "subject": subject})
