"""While a file is applied, calls go on: nobody waits for somebody who waits for them."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import select, text

from tests.integration.admin.apply_files import apply
from torana.admin.tenancy import create_project
from torana.db.models import Balance
from torana.db.session import Database
from torana.ledger.locking import locked

FILE = """\
    [[limits]]
    scope = "project"
    id = "later"
    rpm = {rpm}

    [[budgets]]
    scope = "project"
    id = "earlier"
    amount_usd = 5

    [[limits]]
    scope = "end-user"
    id = "alice"
    project = "earlier"
    rpm = {rpm}
    """


def wait_until_somebody_waits(database: Database) -> None:
    """Until a statement on the server waits for a lock of rows."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with database.read() as session:
            if session.scalar(text(query)):
                return
        time.sleep(0.01)
    pytest.fail("nobody waits")


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)  # SQLite has one writer.
def test_accounts_are_locked_in_everybodys_order_not_in_the_files(database):
    """The rows of one who admits calls are taken as that one takes them: by rising ids."""
    ids = []
    for name in ("earlier", "later"):
        project = create_project(database, name=name)
        with database.read() as session:
            query = select(Balance.id).where(Balance.scope_id == project.id)
            ids.append(session.scalars(query).one())
    assert ids == sorted(ids)
    url = database.url.render_as_string(hide_password=False)
    patient = Database(url, patience=20)
    outcomes: list[int] = []
    applying = threading.Thread(
        target=lambda: outcomes.append(len(apply(patient, FILE.format(rpm=5)).changes))
    )
    try:
        with database.write() as session:
            locked(session, ids[:1])
            applying.start()
            wait_until_somebody_waits(database)
            locked(session, ids[1:])  # Had the file's order counted, this would be the circle.
        applying.join(20)
    finally:
        patient.dispose()
    assert outcomes == [3]
