"""One organisation's trouble is not another's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.chaos.books import audit
from tests.chaos.callers import Callers, Load
from tests.chaos.gateway import Installation
from tests.chaos.tables import table
from tests.chaos.upstream import QUICK, SLOW
from tests.chaos.watcher import watching
from torana.admin.tenancy import new_balance
from torana.core.clock import utc_now
from torana.core.ids import new_id
from torana.db.models import Organisation, Project

LOCKED_SECONDS = 0.9
"""About as long as a process that has stopped can hold rows."""


def _other_organisation(installation: Installation) -> str:
    """Make a second organisation; its project's id."""
    with installation.database.write() as session:
        organisation = Organisation(id=new_id("org"), name="other", created_at=utc_now())
        session.add(organisation)
        session.flush()
        project = Project(
            id=new_id("proj"),
            organisation_id=organisation.id,
            name="other",
            created_at=utc_now(),
        )
        session.add(project)
        session.add(new_balance("organisation", organisation.id))
        session.add(new_balance("project", project.id))
        return project.id


@contextmanager
def _locking(installation: Installation, key_id: str) -> Iterator[None]:
    """Lock the balances of a key again and again."""
    stopping = threading.Event()

    def lock() -> None:
        with psycopg.connect(installation.url) as connection:
            while not stopping.is_set():
                connection.execute(
                    "SELECT id FROM balances WHERE scope_id = %s ORDER BY id FOR UPDATE", (key_id,)
                )
                stopping.wait(LOCKED_SECONDS)
                connection.rollback()
                stopping.wait(0.3)

    thread = threading.Thread(target=lock, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(10)


def test_an_organisation_in_trouble_is_no_trouble_to_another(installation, figures, is_long):
    project = _other_organisation(installation)
    exhausted = installation.key("exhausted", 400_001)
    sound = installation.key("sound", 900_000_000, project=project)
    with (
        installation.web(2) as web,
        watching(installation.url) as watch,
        _locking(installation, exhausted.id),
    ):
        seconds = 30.0 if is_long else 3.0
        hot = Load(
            ports=[web.port],
            key=exhausted.key,
            models=[QUICK],
            calls=1_000_000,
            parallel=24,
            seconds=seconds,
        )
        calm = Load(
            ports=[web.port],
            key=sound.key,
            models=[QUICK, SLOW],
            calls=1_000_000,
            parallel=4,
            seed=2,
            seconds=seconds,
        )
        troubled, untroubled = Callers(hot).start(), Callers(calm).start()
        seen = [*troubled.join(), *untroubled.join()]
        installation.wait_until_settled(20)
    result = audit(
        installation.url, installation.upstream.journal(), seen, installation.price, exact=True
    )
    slowest = max(call.seconds for call in untroubled.seen)
    more = {
        "the other organisation": ", ".join(map(str, untroubled.statuses.items())),
        "its slowest call, ms": round(slowest * 1000),
    }
    figures("an organisation in trouble", table(troubled, result, watch, more))
    result.complain()
    assert not watch.wrong, watch.wrong[:10]
    assert set(untroubled.statuses) == {"ok"}
    assert len(untroubled.seen) > 4
    assert set(troubled.statuses) <= {"ok", "insufficient_quota", "budget_reserved"}
    installation.verify()
