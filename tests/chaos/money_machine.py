"""What can happen to an installation's money, as a machine of rules with a model beside it.

It drives the real lane, edits and sweeper on a real SQLite file with a clock of its own, and
compares all that they say and store with a model that sums everything up anew.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import func, select

from tests.chaos.money_model import EPOCH, Call, Model, ModelBudget, microseconds
from tests.chaos.money_scene import Process, Scene, admission, extension, posting
from torana.admin import budgets
from torana.admin.budgets import BudgetChange
from torana.admin.scopes import ScopeRef
from torana.db.models import LedgerEntry, Reservation
from torana.ledger.items import (
    Admitted,
    Corrected,
    Extended,
    Gone,
    Outcome,
    Posted,
    Refusal,
    Refused,
)
from torana.ledger.jobs import AdmitJob, ExtendJob, Job, PostJob
from torana.ledger.reports import verify
from torana.ledger.sweeper import PATIENCE
from torana.ledger.terms import BudgetTerms
from torana.ledger.windows import window_at

STARTS = st.sampled_from(
    [
        datetime(2026, 3, 28, 22, 30, tzinfo=UTC),  # before Europe's clocks go forward
        datetime(2026, 10, 24, 21, 59, 59, tzinfo=UTC),  # and back
        datetime(2026, 11, 1, 2, 0, tzinfo=UTC),  # America's go back
        datetime(2026, 12, 31, 23, 0, tzinfo=UTC),
        datetime(2024, 2, 29, 12, 0, tzinfo=UTC),
    ]
)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia"])
PERIODS = st.sampled_from(["day", "week", "month", "total", "interval"])
AMOUNTS = st.integers(0, 300) | st.integers(200, 600)
MODES = st.sampled_from(["refuse", "clamp"])
PICKS = st.integers(0, 1000)
COSTS = st.integers(0, 120)
WISHES = st.tuples(
    st.integers(0, 2),
    st.sampled_from([None, "alice", "bob"]),
    st.sampled_from([{}, {"team": "red"}, {"team": "blue", "x": "y"}]),
    st.integers(0, 60),
    st.integers(1, 60),
)
WISH_LISTS = st.lists(WISHES, min_size=1, max_size=4)
SCOPES = st.sampled_from(
    [
        ScopeRef(kind="key", id="k0"),
        ScopeRef(kind="key", id="k2"),
        ScopeRef(kind="user", id="books@example.test"),
        ScopeRef(kind="project", id="default"),
        ScopeRef(kind="organisation", id="default"),
        ScopeRef(kind="end_user", id="*", project="default"),
        ScopeRef(kind="end_user", id="*"),
        ScopeRef(kind="end_user", id="alice", project="default"),
        ScopeRef(kind="tag", id="team=*", project="default"),
        ScopeRef(kind="tag", id="team=red"),
    ]
)
BUDGETS = st.tuples(SCOPES, AMOUNTS, MODES, PERIODS, ZONES)
SPANS = st.sampled_from(
    [
        timedelta(microseconds=1),
        timedelta(seconds=1),
        timedelta(seconds=31),
        timedelta(minutes=14),
        timedelta(hours=1),
        timedelta(hours=25),
        timedelta(days=7),
        timedelta(days=31),
    ]
)


class Money(RuleBasedStateMachine):
    """Every rule is something that happens to an installation."""

    scene: Scene
    model: Model
    steps_between_audits = 10

    @initialize(start=STARTS, wishes=st.lists(BUDGETS, min_size=2, max_size=3))
    def begin(self, start, wishes):
        self.scene = Scene(start)
        self.model = Model(self.scene.memberships)
        self.heard = {process.owner_id: start for process in self.scene.processes}
        self.steps = 0
        for wish in wishes:
            self.add_budget(*wish)

    # --- calls ----------------------------------------------------------------------------------

    @rule(
        pick=PICKS,
        wishes=WISH_LISTS,
        posts=st.lists(st.tuples(PICKS, COSTS), max_size=3),
        shuffler=st.randoms(use_true_random=False),
    )
    def batch(self, pick, wishes, posts, shuffler):
        process = self.running(pick)
        if process is None:
            return
        jobs: list[Job] = [
            admission(
                self.scene.record(key, end_user=end_user, tags=tags), fixed=fixed, output=output
            )
            for key, end_user, tags, fixed, output in wishes
        ]
        waiting = sorted(process.receipts)
        for number, cost in posts:
            if waiting:
                receipt = process.receipts[waiting.pop(number % len(waiting))]
                jobs.append(posting(receipt, cost))
        shuffler.shuffle(jobs)
        self.scene.settle(process, jobs, self.judge(process))

    @rule(pick=PICKS, wishes=WISH_LISTS)
    def calls(self, pick, wishes):
        self.batch(pick, wishes, [], random.Random(0))

    @rule(pick=PICKS, posts=st.lists(st.tuples(PICKS, COSTS), min_size=1, max_size=3))
    def posts(self, pick, posts):
        self.batch(pick, [], posts, random.Random(0))

    @rule(pick=PICKS, number=PICKS, more=st.integers(0, 80))
    def extend(self, pick, number, more):
        process = self.running(pick)
        if process is None or not process.receipts:
            return
        receipt = process.receipts[sorted(process.receipts)[number % len(process.receipts)]]
        job = extension(receipt, receipt.bound_nano + more)
        self.scene.settle(process, [job], self.judge(process))

    def judge(self, process: Process) -> Callable[[Job, Outcome], None]:
        def judged(job: Job, outcome: Outcome) -> None:
            if isinstance(job, AdmitJob):
                self.judge_admission(process, job, outcome)
            elif isinstance(job, PostJob):
                self.judge_post(job, outcome)
            else:
                self.judge_extension(job, outcome)

        return judged

    def judge_admission(self, process: Process, job: AdmitJob, outcome: Outcome) -> None:
        bound = job.ask.bound
        fixed = bound.fixed // 1_000_000
        allowed = self.model.allowed(job.record, self.scene.now, fixed, bound.output)
        if allowed is None:
            assert isinstance(outcome, Refused), outcome
            assert outcome.reason in {Refusal.BUDGET, Refusal.RESERVED}
            return
        assert isinstance(outcome, Admitted), outcome
        assert outcome.bound_nano == fixed + allowed
        assert outcome.output == (allowed if allowed < bound.output else None)
        self.model.calls[job.record.call_id] = Call(
            job.record, self.scene.now, outcome.bound_nano, process.owner_id
        )

    def judge_post(self, job: PostJob, outcome: Outcome) -> None:
        call = self.model.calls[job.receipt.record.call_id]
        cost = job.settlement.cost_nano
        if call.is_abandoned:
            assert call.posted is not None
            assert outcome == Corrected(cost - call.posted)
        else:
            assert outcome == Posted(call.bound)
        call.posted, call.is_abandoned = cost, False

    def judge_extension(self, job: ExtendJob, outcome: Outcome) -> None:
        call = self.model.calls[job.receipt.record.call_id]
        if call.is_abandoned:
            assert isinstance(outcome, Gone)
        elif isinstance(outcome, Extended):
            call.bound = max(call.bound, job.further.bound_nano)
            # What it was extended to is within the limit of every budget that still runs.
            assert job.further.bound_nano == job.receipt.bound_nano or self.rooms_of(call) >= 0
        else:
            assert isinstance(outcome, Refused)
            assert outcome.used + outcome.needed > outcome.limit

    def rooms_of(self, call: Call) -> int:
        """The least room of the present windows that a call counts in."""
        least = 0
        now_us = microseconds(self.scene.now)
        for budget in self.model.budgets.values():
            start, end = window_at(budget.terms, now_us)
            if start <= microseconds(call.admitted_at) and (
                end is None or microseconds(call.admitted_at) < end
            ):
                alone = Model(self.model.memberships, self.model.calls, {"": budget})
                rooms = [room for _, room in alone.rooms(call.record, self.scene.now)]
                least = min([least, *rooms])
        return least

    # --- budgets --------------------------------------------------------------------------------

    @precondition(lambda self: len(self.model.budgets) < 5)
    @rule(wish=BUDGETS)
    def make_budget(self, wish):
        self.add_budget(*wish)

    def add_budget(self, scope: ScopeRef, amount: int, mode: str, period: str, zone: str) -> None:
        terms = BudgetTerms(amount_nano=amount, mode=mode, **timing(period, zone))
        view = budgets.create_budget(self.scene.database, scope, terms)
        self.model.budgets[view.id] = ModelBudget(
            scope.kind.replace("-", "_"), self.scope_id(view.id), terms
        )

    def scope_id(self, budget_id: str) -> str:
        with self.scene.database.read() as session:
            return budgets._find(session, budget_id, None).scope_id

    @precondition(lambda self: self.model.budgets)
    @rule(pick=PICKS, amount=AMOUNTS, mode=MODES)
    def edit_amount(self, pick, amount, mode):
        self.change(pick, BudgetChange(amount_nano=amount, mode=mode))

    @precondition(lambda self: self.model.budgets)
    @rule(pick=PICKS, period=PERIODS, zone=ZONES)
    def edit_window(self, pick, period, zone):
        self.change(pick, BudgetChange(**timing(period, zone)))

    def change(self, pick: int, change: BudgetChange) -> None:
        budget_id, budget = self.budget(pick)
        budgets.update_budget(self.scene.database, budget_id, change)
        terms = budgets._without_ended_raise(budget.terms, self.scene.now)
        budget.terms = budgets._merged(terms, change)

    @precondition(lambda self: self.model.budgets)
    @rule(pick=PICKS, amount=st.integers(1, 200), span=SPANS, wishes=WISH_LISTS)
    def raise_amount(self, pick, amount, span, wishes):
        budget_id, budget = self.budget(pick)
        until = self.scene.now + span
        budgets.raise_budget(self.scene.database, budget_id, amount_nano=amount, until=until)
        fields = {name: getattr(budget.terms, name) for name in budget.terms.__struct_fields__}
        fields |= {"raise_nano": amount, "raise_until": microseconds(until)}
        budget.terms = BudgetTerms(**fields)
        self.calls(pick, wishes)
        self.pass_time(span)
        self.calls(pick, wishes)

    @precondition(lambda self: self.model.budgets)
    @rule(pick=PICKS)
    def delete_budget(self, pick):
        budget_id, _ = self.budget(pick)
        budgets.delete_budget(self.scene.database, budget_id)
        del self.model.budgets[budget_id]

    def budget(self, pick: int) -> tuple[str, ModelBudget]:
        return list(self.model.budgets.items())[pick % len(self.model.budgets)]

    # --- processes and time ---------------------------------------------------------------------

    @rule(pick=PICKS)
    def stop(self, pick):
        process = self.running(pick)
        if process is not None:
            process.runs = False

    @rule(pick=PICKS)
    def wake(self, pick):
        stopped = [process for process in self.scene.processes if not process.runs]
        if stopped:
            process = stopped[pick % len(stopped)]
            process.runs = True
            process.heartbeat.beat()
            self.heard[process.owner_id] = self.scene.now

    @rule(pick=PICKS)
    def crash(self, pick):
        number = pick % len(self.scene.processes)
        self.scene.processes[number].lane.close()
        made = self.scene.processes[number] = self.scene.process()
        self.heard[made.owner_id] = self.scene.now

    @rule()
    def sweep(self):
        silent = [
            call
            for call in self.model.calls.values()
            if call.posted is None and self.heard[call.owner_id] < self.scene.now - PATIENCE
        ]
        assert self.scene.sweep() == len(silent)
        for call in silent:
            call.posted, call.is_abandoned = call.bound, True

    @rule(span=SPANS)
    def pass_time(self, span):
        self.scene.pass_time(span)
        for process in self.scene.processes:
            if process.runs:
                self.heard[process.owner_id] = self.scene.now

    @precondition(lambda self: self.model.budgets)
    @rule(pick=PICKS, beside=st.sampled_from([-1, 0, 1]), wishes=WISH_LISTS)
    def pass_to_the_end_of_a_window(self, pick, beside, wishes):
        _, budget = self.budget(pick)
        _, end = window_at(budget.terms, microseconds(self.scene.now))
        if end is not None:
            instant = EPOCH + timedelta(microseconds=end + beside)
            if instant > self.scene.now:
                self.pass_time(instant - self.scene.now)
                self.calls(pick, wishes)

    def running(self, pick: int) -> Process | None:
        found = [process for process in self.scene.processes if process.runs]
        return found[pick % len(found)] if found else None

    # --- what must be true ----------------------------------------------------------------------

    @invariant()
    def every_balance_is_what_its_calls_say(self) -> None:
        for row in self.scene.balances():
            figures = (row.spent_nano, row.reserved_nano, row.open_calls)
            scope = (row.scope_kind, row.scope_id)
            assert figures == self.model.figures(scope, row.window_start, row.window_end), (
                scope,
                row.budget_id,
                row.window_start,
            )

    @invariant()
    def every_call_is_open_or_on_the_ledger_with_its_cost(self) -> None:
        with self.scene.database.read() as session:
            posted = select(LedgerEntry.call_id, func.sum(LedgerEntry.cost_nano))
            sums = {
                call_id: int(cost)
                for call_id, cost in session.execute(posted.group_by(LedgerEntry.call_id))
            }
            bounds = {row.call_id: row.bound_nano for row in session.scalars(select(Reservation))}
        calls = self.model.calls.items()
        assert bounds == {name: call.bound for name, call in calls if call.posted is None}
        assert sums == {name: call.posted for name, call in calls if call.posted is not None}

    @invariant()
    def the_books_agree_with_themselves_again_and_again(self) -> None:
        self.steps += 1
        if self.steps % self.steps_between_audits == 0:
            self.the_books_agree_with_themselves()

    def the_books_agree_with_themselves(self) -> None:
        with self.scene.database.read() as session:
            assert verify(session) == []

    def teardown(self):
        if not hasattr(self, "scene"):
            return
        try:
            self.come_to_an_end()
        finally:
            self.scene.close()

    def come_to_an_end(self) -> None:
        """Everybody wakes and posts; what crashed is swept."""
        self.pass_time(PATIENCE + timedelta(seconds=1))
        self.sweep()
        for process in self.scene.processes:
            self.wake(0)
            jobs: list[Job] = [
                posting(receipt, number)
                for number, receipt in enumerate(process.receipts.values(), 1)
            ]
            if jobs:
                self.scene.settle(process, jobs, self.judge(process))
        self.every_balance_is_what_its_calls_say()
        self.every_call_is_open_or_on_the_ledger_with_its_cost()
        self.the_books_agree_with_themselves()
        assert all(row.reserved_nano == row.open_calls == 0 for row in self.scene.balances())
        assert Counter(call.posted is None for call in self.model.calls.values())[True] == 0


def timing(period: str, zone: str) -> dict[str, Any]:
    """How a budget's windows lie."""
    return {"period": period, "zone": zone, "interval_seconds": 3600 * (period == "interval")}
