"""The teller: gathers the admissions and posts of a process and settles them batch by batch.

Whoever brings a job while no batch runs leads: it settles all that wait, wakes them, and hands the
lead to the first of those who came meanwhile. There is no timer and no thread; a batch is as large
as the load makes it. Works under greenlets and under threads.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from torana.errors import LedgerUnavailable, ToranaError, UnwritableRow
from torana.ledger.items import Admitted, Extended, Outcome, Refused, Replayed, Unopened
from torana.ledger.jobs import (
    AdmitJob,
    CommitUnheard,
    ExtendJob,
    Job,
    PostJob,
    Settled,
    given_back,
    kept_bytes,
    receipt_of,
)
from torana.ledger.lanes import Lane
from torana.ledger.records import Ask, CallRecord, Further, Receipt, Settlement
from torana.ledger.refusals import error_of
from torana.ledger.spool import SUFFIX, Spool, orphan

logger = logging.getLogger("torana.ledger")

MAX_BATCH = 256
_MAX_KEPT_BYTES = 4 * 1024 * 1024
"""A transaction that takes longer to write than its statements may is never written."""
POST_SECONDS = 60.0
"""Longest that a post is tried again while the database is away."""
RETRY_SECONDS = 0.25
TICK_SECONDS = 0.25
STALLED_TICKS = 4
"""A batch takes milliseconds: nobody queues behind one that has not come back for so long. Ticks
count the time in which this process ran: one that was stopped, or starved, blames nobody else."""
SPOOL_SECONDS = 1.0
"""How often the spool is looked at."""
_OPENINGS = 100
"""A call names an end user and tags, at a project and an organisation; each may have to be opened,
one after another."""


class TellerObserver(Protocol):
    """Who counts the teller's work."""

    def batch(self, size: int, seconds: float) -> None:
        """A batch was committed."""

    def wait(self, seconds: float) -> None:
        """A job was settled after waiting so long."""


class _NoObserver:
    """For processes that count nothing."""

    def batch(self, size: int, seconds: float) -> None:
        """Nothing."""

    def wait(self, seconds: float) -> None:
        """Nothing."""


NO_OBSERVER = _NoObserver()


class _Waiter:
    """A job, and the greenlet or thread that waits for its outcome."""

    __slots__ = ("error", "job", "leads", "outcome", "unheard", "wake")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.outcome: tuple[Outcome, Settled, int] | None = None
        self.error: ToranaError | None = None
        self.unheard: PostJob | None = None
        self.leads = False
        self.wake = threading.Event()


class Teller:
    """The one place of a process that writes money.

    Args:
        lane: the way to the database.
        observer: is told of batches and waits.
        spool: keeps posts while the database is away; without one they wait for it.
        open_account: makes the account of an end user or tag that a template has a budget for, from
            its scope's kind and id.
    """

    def __init__(
        self,
        lane: Lane,
        observer: TellerObserver,
        *,
        spool: Spool | None = None,
        open_account: Callable[[str, str], object] | None = None,
    ) -> None:
        self._lane = lane
        self._observer = observer
        self._spool = spool
        self._open_account = open_account
        self._mutex = threading.Lock()
        self._pending: deque[_Waiter] = deque()
        self._leading = False
        # Zero while the database answers.
        self._down_until = 0.0
        self._ticks = 0

    def admit(self, record: CallRecord, ask: Ask) -> Receipt | Replayed:
        """Reserve a call's bound on all its balances, durably.

        Returns:
            The receipt, or the call that has answered the caller's Idempotency-Key already.

        Raises:
            LedgerUnavailable: the database is away; nothing was reserved as far as is known.
            DiskFull: what the call will owe could not be kept if the database went away.
            ToranaError: the call is refused (see `torana.ledger.refusals`); nothing was consumed.
        """
        if self._refuses():
            raise _away()
        if self._spool is not None:
            self._spool.hold()
        admitted = False
        try:
            receipt = self._admit(AdmitJob(record, ask))
            admitted = isinstance(receipt, Receipt)
            return receipt
        finally:
            if self._spool is not None and not admitted:
                self._spool.release()

    def _admit(self, job: AdmitJob) -> Receipt | Replayed:
        for _ in range(_OPENINGS):
            outcome, settled, index = self._submit(job, refusable=True)
            if not isinstance(outcome, Unopened) or self._open_account is None:
                break
            self._open_account(outcome.scope_kind, outcome.scope_id)
        if isinstance(outcome, Refused):
            raise error_of(outcome)
        if isinstance(outcome, Replayed):
            return outcome
        if not isinstance(outcome, Admitted):
            message = f"an admission ended as {outcome!r}"
            raise TypeError(message)
        return receipt_of(job, outcome, settled, index)

    def extend(self, receipt: Receipt, further: Further) -> Receipt:
        """Reserve for another try of an open call.

        Returns:
            The receipt with the try's target and with what is reserved now.

        Raises:
            LedgerUnavailable: the database is away.
            BudgetExceeded, CostUnknown: a budget does not let it; the old bound stays reserved.
        """
        outcome, _, _ = self._submit(ExtendJob(receipt, further), refusable=True)
        if isinstance(outcome, Refused):
            raise error_of(outcome)
        if not isinstance(outcome, Extended):
            # Gone: this process was silent for so long that the call was posted in its stead.
            raise LedgerUnavailable("The call is no longer reserved.", retry_after=1)
        record = msgspec.structs.replace(
            receipt.record,
            provider=further.provider,
            target_model=further.target_model,
            price_id=further.price_id,
        )
        return msgspec.structs.replace(
            receipt,
            record=record,
            bound_nano=outcome.bound_nano,
            output=outcome.output if further.output is None else further.output,
        )

    def post(self, receipt: Receipt, settlement: Settlement) -> None:
        """Write a call's ledger entry and release its reservation.

        While the database is away the post goes to the spool. Posting a call twice changes nothing.

        Raises:
            LedgerUnavailable: there is no spool, and the database stayed away; the reservation
                stands and the log has the figures.
            UnwritableRow: the entry can't be written as it is; the same holds.
        """
        try:
            self._post(receipt, settlement)
        finally:
            if self._spool is not None:
                self._spool.release()

    def _post(self, receipt: Receipt, settlement: Settlement) -> None:
        deadline = time.monotonic() + POST_SECONDS
        job = PostJob(receipt, settlement)
        if (self._down_until or self._refuses()) and self._keep(job):
            # Who waits for this answer need not wait for the database; `replay` asks for it.
            return
        while True:
            try:
                self._submit(job)
            except (LedgerUnavailable, UnwritableRow) as error:
                away = isinstance(error, LedgerUnavailable)
                if away and self._keep(job):
                    return
                if time.monotonic() >= deadline or not away:
                    logger.exception("ledger.post_failed", extra=_figures(job))
                    raise
                time.sleep(RETRY_SECONDS)
            else:
                return

    def _keep(self, job: PostJob) -> bool:
        """Put a post into the spool; whether it is on the disk."""
        if self._spool is None:
            return False
        try:
            self._spool.append(job.receipt, job.settlement)
        except OSError:
            logger.exception("ledger.spool_failed", extra=_figures(job))
            return False
        logger.warning("ledger.spooled", extra=_figures(job))
        return True

    def replay(self) -> int:
        """Post what waits in the spool.

        Returns:
            How many posts there were.

        Raises:
            LedgerUnavailable: the database is still away; the rest waits on.
        """
        if self._spool is None or not self._spool.pending:
            return 0
        waiting = self._spool.unreplayed()
        for job, place in waiting:
            self.settle_again(job)
            self._spool.replayed(place)
        return len(waiting)

    def settle_again(self, job: PostJob) -> None:
        """Settle a post from a spool; one that can't be written is told to the log and left.

        Raises:
            LedgerUnavailable: the database is away.
        """
        try:
            self.settle(job)
        except UnwritableRow:
            # Its reservation stands until the sweeper posts it at its bound.
            logger.exception("ledger.post_failed", extra=_figures(job))

    def settle(self, job: PostJob) -> Outcome:
        """Settle a post that is no call of this process: from a spool, or of a silent owner.

        Raises:
            LedgerUnavailable: the database is away.
            UnwritableRow: the entry can't be written even without what others wrote into it.
        """
        return self._submit(job)[0]

    def close(self) -> None:
        """Close the lane; call it when no job is under way."""
        self._lane.close()

    def tick(self) -> None:
        """Time passes: every `TICK_SECONDS`, beside everything else of the process."""
        self._ticks += 1

    def _submit(self, job: Job, *, refusable: bool = False) -> tuple[Outcome, Settled, int]:
        """Have a job settled: its outcome, what became of its batch, and its place there.

        The wait needs no limit of its own: a lane's waits are bounded.

        Args:
            job: what is asked.
            refusable: it does not wait for a database that is away.
        """
        began = time.monotonic()
        waiter = _Waiter(job)
        with self._mutex:
            if refusable and self._refuses():
                raise _away()
            self._pending.append(waiter)
            if not self._leading:
                self._leading = True
                self._ticks = 0
                waiter.leads = True
        if not waiter.leads:
            try:
                waiter.wake.wait()
            except BaseException:
                self._leave(waiter)
                raise
        if waiter.leads:
            self._lead()
        self._observer.wait(time.monotonic() - began)
        if waiter.error is not None:
            if waiter.unheard is not None:
                self._keep(waiter.unheard)
            raise waiter.error
        if waiter.outcome is None:
            message = "a job was woken without an outcome"
            raise RuntimeError(message)
        return waiter.outcome

    def _refuses(self) -> bool:
        """Whether the database is away, and it is not the time to ask it again, or somebody does.

        A database that is silent takes seconds to fail: one job at a time waits for that, and
        those that came within the first second.
        """
        if not self._down_until:
            return self._leading and self._ticks >= STALLED_TICKS
        return self._leading or time.monotonic() < self._down_until

    def _lead(self) -> None:
        """Settle one batch, which holds the leader's own job, and hand the lead on."""
        batch = self._take(MAX_BATCH)
        try:
            self._settle(batch)
        except LedgerUnavailable as error:
            # Those who came meanwhile would wait for the same failure.
            self._down_until = time.monotonic() + RETRY_SECONDS
            self._fail([*batch, *self._take()], error)
        except BaseException:
            self._fail(batch, LedgerUnavailable("The ledger failed.", retry_after=1))
            raise
        finally:
            self._hand_on()

    def _leave(self, waiter: _Waiter) -> None:
        """Whoever waited was killed: nobody waits for it, and it does not keep the lead."""
        with self._mutex:
            if waiter in self._pending:
                self._pending.remove(waiter)
        if waiter.leads:
            self._hand_on()

    def _take(self, most: int | None = None) -> list[_Waiter]:
        """Those who wait, up to a number of them and so many bytes of what is kept for callers."""
        taken: list[_Waiter] = []
        kept = 0
        with self._mutex:
            while self._pending and (most is None or len(taken) < most):
                kept += kept_bytes(self._pending[0].job)
                if most is not None and taken and kept > _MAX_KEPT_BYTES:
                    break
                taken.append(self._pending.popleft())
        return taken

    def _settle(self, batch: list[_Waiter]) -> None:
        """Settle a batch; one that holds a row which can't be written is halved until it is alone.

        Raises:
            LedgerUnavailable: the database is away.
        """
        began = time.monotonic()
        try:
            settled = self._lane.settle([waiter.job for waiter in batch])
        except UnwritableRow as error:
            self._settle_apart(batch, error)
            return
        except CommitUnheard as error:
            for index, waiter in enumerate(batch):
                # The call is turned away: if it was admitted, nobody else would release it.
                waiter.unheard = given_back(waiter.job, error.settled, index)
            raise
        self._down_until = 0.0
        self._observer.batch(len(batch), time.monotonic() - began)
        for index, waiter in enumerate(batch):
            waiter.outcome = (settled.outcomes[index], settled, index)
            waiter.wake.set()

    def _settle_apart(self, batch: list[_Waiter], error: UnwritableRow) -> None:
        if len(batch) > 1:
            middle = len(batch) // 2
            self._settle(batch[:middle])
            self._settle(batch[middle:])
            return
        job = batch[0].job
        if isinstance(job, PostJob) and not job.settlement.is_bare:
            # The money first: what is said beside it can be left out.
            logger.error("ledger.entry_bared", extra={"request_id": job.receipt.record.call_id})
            batch[0].job = PostJob(job.receipt, job.settlement.bare())
            self._settle(batch)
            return
        self._fail(batch, error)

    def _fail(self, batch: list[_Waiter], error: ToranaError) -> None:
        unsettled = [waiter for waiter in batch if waiter.outcome is None and waiter.error is None]
        logger.error("ledger.batch_failed", extra={"size": len(unsettled)}, exc_info=error)
        for waiter in unsettled:
            waiter.error = error
            waiter.wake.set()

    def _hand_on(self) -> None:
        with self._mutex:
            successor = self._pending[0] if self._pending else None
            if successor is None:
                self._leading = False
                return
            successor.leads = True
            self._ticks = 0
        successor.wake.set()


def replay_orphans(folder: Path, teller: Teller) -> int:
    """Post what processes of this host that are gone have left in their spools.

    Args:
        folder: of the spools.
        teller: posts them.

    Returns:
        How many posts there were.

    Raises:
        LedgerUnavailable: the database is away; the file stays.
    """
    posted = 0
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        with orphan(path) as jobs:
            for job in jobs or ():
                teller.settle_again(job)
                posted += 1
    return posted


def _away() -> LedgerUnavailable:
    return LedgerUnavailable("The ledger is not available.", retry_after=1)


def _figures(job: PostJob) -> dict[str, Any]:
    """What a log line tells of a post that is not in the database."""
    return {
        "request_id": job.receipt.record.call_id,
        "cost_nano": job.settlement.cost_nano,
        "status": job.settlement.status.value,
    }
