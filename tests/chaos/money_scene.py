"""A small installation on a clock of our own: real tables, lanes, edits and sweeper, in one process.

For the machine in `money_machine.py`, which holds it against a plain model.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from unittest.mock import patch

from sqlalchemy import select

from tests.support.further import further
from torana.admin.keys import create_key
from torana.admin.tenancy import create_project, create_user, ensure_defaults
from torana.auth.api_keys import KeyRing
from torana.auth.principal import Principal
from torana.core.ids import new_id
from torana.core.money import UNITS
from torana.core.usage import Counted, Usage
from torana.db.migrate import upgrade
from torana.db.models import Balance, Membership
from torana.db.session import Database
from torana.ledger import locking, sqlite_lane, sweeper
from torana.ledger.accounts import open_from_templates
from torana.ledger.bounds import Bound
from torana.ledger.items import Admitted, Extended, Outcome, Refused, Unopened
from torana.ledger.jobs import AdmitJob, ExtendJob, Job, PostJob, Settled
from torana.ledger.owners import OwnerHeartbeat
from torana.ledger.records import Ask, CallRecord, Receipt, Settlement, Status
from torana.ledger.sqlite_lane import SqliteLane
from torana.ledger.sweeper import Sweeper
from torana.ledger.teller import NO_OBSERVER, Teller

EMAIL = "books@example.test"
_MEMORY = Path("/dev/shm")
"""Where nothing is waited for; a folder of ours in it."""


@dataclass(frozen=True)
class Template:
    """A migrated file, and its three keys: two of one project, one of another."""

    file: Path
    principals: tuple[Principal, ...]
    memberships: dict[str, str]
    """By a user's id in the organisation, its membership."""


@functools.cache
def template() -> Template:
    folder = Path(tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    database = Database(f"sqlite:///{folder / 'template.db'}")
    upgrade(database)
    ensure_defaults(database)
    create_user(database, email=EMAIL, password="correct horse battery", role="member")
    create_project(database, name="other")
    keys = [
        create_key(database, project=project, name=f"k{number}", owner_email=owner)
        for number, (project, owner) in enumerate(
            [("default", EMAIL), ("default", None), ("other", EMAIL)]
        )
    ]
    ring = KeyRing(database)
    principals = tuple(ring.authenticate(key.key) for key in keys)
    with database.read() as session:
        memberships = {row.user_id: row.id for row in session.scalars(select(Membership))}
    database.dispose()
    return Template(folder / "template.db", principals, memberships)


class Clock(datetime):
    """`datetime` for the lane, whose present is the scene's."""

    present: datetime

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return cls.present.astimezone(tz)


@dataclass
class Process:
    """A web process as the ledger sees it."""

    lane: SqliteLane
    owner_id: str
    heartbeat: OwnerHeartbeat
    receipts: dict[str, Receipt] = field(default_factory=dict)
    """Of its open calls, as it knows them."""
    runs: bool = True


class Scene:
    """A copy of the template with processes and a sweeper."""

    def __init__(self, start: datetime) -> None:
        self._cleanup = ExitStack()
        made = template()
        folder = Path(tempfile.mkdtemp(dir=made.file.parent))
        self._cleanup.callback(shutil.rmtree, folder)
        shutil.copyfile(made.file, folder / "torana.db")
        self.database = Database(f"sqlite:///{folder / 'torana.db'}")
        self._cleanup.callback(self.database.dispose)
        self.principals = made.principals
        self.memberships = made.memberships
        self.now = start
        Clock.present = start
        for place, name, value in (
            (sqlite_lane, "datetime", Clock),
            (locking, "utc_now", lambda: self.now),
            # Here it is the clock that tells how long an owner has been silent.
            (sweeper, "WATCH_SECONDS", 0.0),
        ):
            self._cleanup.enter_context(patch.object(place, name, value))
        self.processes = [self.process() for _ in range(3)]
        self._sweeping = Teller(SqliteLane(self.database, new_id("own")), NO_OBSERVER)
        self._cleanup.callback(self._sweeping.close)
        self._sweeper = Sweeper(self.database, self._sweeping)

    def close(self) -> None:
        for process in self.processes:
            process.lane.close()
        self._cleanup.close()

    def process(self) -> Process:
        owner_id = new_id("own")
        heartbeat = OwnerHeartbeat(self.database, owner_id=owner_id, kind="web")
        heartbeat.beat()
        return Process(SqliteLane(self.database, owner_id), owner_id, heartbeat)

    def pass_time(self, span: timedelta) -> None:
        """Let time pass, in which every running process has given its signs of life."""
        self.now += span
        Clock.present = self.now
        for process in self.processes:
            if process.runs:
                process.heartbeat.beat()

    def sweep(self) -> int:
        return self._sweeper.run_once()

    def record(self, key: int, **fields: object) -> CallRecord:
        principal = self.principals[key]
        values: dict[str, object] = {
            "call_id": new_id("req"),
            "organisation_id": principal.organisation_id,
            "project_id": principal.project_id,
            "user_id": principal.user_id,
            "key_id": principal.key_id,
            "account_ids": principal.account_ids,
            "route": "r",
            "model": "m",
            "provider": "p",
            "target_model": "t",
            "price_id": None,
        }
        return CallRecord(**(values | fields))  # type: ignore[arg-type]

    def settle(self, process: Process, jobs: Sequence[Job], judged: Callable[..., None]) -> None:
        """Settle a batch; who needs an account that a template opens comes again alone, after it.

        Args:
            process: whose batch it is.
            jobs: the batch.
            judged: is told of each job and its outcome, in the order in which they were judged.
        """
        settled = process.lane.settle(jobs)
        left = []
        for index, (job, outcome) in enumerate(zip(jobs, settled.outcomes, strict=True)):
            if isinstance(outcome, Unopened):
                left.append((job, outcome))
            else:
                self._note(process, job, outcome, settled, index)
                judged(job, outcome)
        for job, unopened in left:
            open_from_templates(self.database, unopened.scope_kind, unopened.scope_id)
            self.settle(process, [job], judged)

    def _note(
        self, process: Process, job: Job, outcome: Outcome, settled: Settled, index: int
    ) -> None:
        if isinstance(job, AdmitJob):
            assert isinstance(outcome, (Admitted, Refused))
            if isinstance(outcome, Admitted):
                process.receipts[job.record.call_id] = Receipt(
                    record=job.record,
                    admitted_at=settled.now,
                    balance_ids=settled.balance_ids[index],
                    bound_nano=outcome.bound_nano,
                    output=outcome.output,
                )
        elif isinstance(job, PostJob):
            del process.receipts[job.receipt.record.call_id]
        elif isinstance(outcome, Extended):
            call_id = job.receipt.record.call_id
            old = process.receipts[call_id]
            process.receipts[call_id] = Receipt(
                record=old.record,
                admitted_at=old.admitted_at,
                balance_ids=old.balance_ids,
                bound_nano=outcome.bound_nano,
            )

    def balances(self) -> list[Balance]:
        with self.database.read() as session:
            return list(session.scalars(select(Balance)))


def admission(record: CallRecord, *, fixed: int, output: int) -> AdmitJob:
    """A call that costs so many nano-dollars, and one for each token that it may write."""
    bound = Bound(fixed=fixed * UNITS, per_output=UNITS, output=output)
    return AdmitJob(record, Ask(bound=bound))


def extension(receipt: Receipt, bound: int) -> ExtendJob:
    return ExtendJob(receipt, further(receipt, bound))


def posting(receipt: Receipt, cost: int) -> PostJob:
    settlement = Settlement(
        status=Status.OK,
        counted=Counted.TOKENIZER,
        usage=Usage(output_tokens=cost),
        cost_nano=cost,
        streamed=False,
        http_status=200,
        provider="p",
        target_model="t",
        price_id=None,
    )
    return PostJob(receipt, settlement)
