"""The judgement of calls against the promises of the ledger, over any sequence of batches."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)

from torana.core.money import UNITS
from torana.ledger.decide import Balance, Book, OpenCall, decide
from torana.ledger.items import (
    Admit,
    Admitted,
    AlreadyPosted,
    Extend,
    Extended,
    Item,
    Outcome,
    Post,
    Posted,
    Refusal,
    Refused,
)

SCOPES = ("bal_key", "bal_project", "bal_organisation")
NOW = datetime(2026, 1, 2, tzinfo=UTC)
MONEY = st.integers(0, 100)
LIMITS = st.none() | st.integers(0, 300)


class Books(RuleBasedStateMachine):
    """Admits and posts in batches, and remembers in the plainest way what must be true."""

    open_calls = Bundle("open_calls")
    posted_calls = Bundle("posted_calls")

    def __init__(self) -> None:
        super().__init__()
        self.numbers = count()
        self.rows = {
            name: Balance(name, name.removeprefix("bal_"), f"{name}_scope", None, 0, 0, 0, None)
            for name in SCOPES
        }
        self.reserved: dict[str, OpenCall] = {}
        """Calls with a reservation row, as the database would hold them."""
        self.ledger: list[tuple[Post, tuple[str, ...]]] = []

    def settle(self, items: list[Item]) -> list[Outcome]:
        """What a lane does around `decide`."""
        touched = {item.call_id for item in items if isinstance(item, (Post, Extend))}
        posted = {item.call_id for item in items if isinstance(item, Post)}
        found = {call_id: self.reserved[call_id] for call_id in touched & set(self.reserved)}
        opened = {
            call_id: OpenCall(call.balance_ids, call.bound_nano) for call_id, call in found.items()
        }
        outcomes = decide(Book(NOW, self.rows, opened), items)
        assert len(outcomes) == len(items)
        for call_id in found:
            if call_id in posted:
                del self.reserved[call_id]
        for item, outcome in zip(items, outcomes, strict=True):
            if isinstance(item, Admit) and isinstance(outcome, Admitted):
                assert outcome.bound_nano == item.nano(item.output)
                self.reserved[item.call_id] = OpenCall(item.balance_ids, outcome.bound_nano)
            elif isinstance(item, Post) and isinstance(outcome, Posted):
                self.ledger.append((item, found[item.call_id].balance_ids))
            elif isinstance(item, Extend) and isinstance(outcome, Extended):
                call = self.reserved[item.call_id]
                call.bound_nano = max(call.bound_nano, item.bound_nano)
        return outcomes

    @rule(
        target=open_calls,
        wishes=st.lists(st.tuples(MONEY, st.sets(st.sampled_from(SCOPES), min_size=1)), max_size=4),
    )
    def admit(self, wishes):
        items = [
            wish(f"req_{next(self.numbers)}", tuple(sorted(scopes)), bound)
            for bound, scopes in wishes
        ]
        admitted = []
        for item in items:
            before = self.figures(SCOPES)
            fits = all(self.fits(self.rows[name], item.nano(0)) for name in item.balance_ids)
            (outcome,) = self.settle([item])
            if isinstance(outcome, Admitted):
                assert fits
                admitted.append(item)
            else:
                assert isinstance(outcome, Refused)
                assert not fits
                assert self.figures(SCOPES) == before
                self.check_reason(item, outcome)
        return multiple(*admitted)

    @rule(
        target=open_calls,
        posts=st.lists(consumes(open_calls), max_size=3, unique=True),
        costs=st.lists(MONEY, min_size=3, max_size=3),
        wishes=st.lists(st.tuples(MONEY, st.sets(st.sampled_from(SCOPES), min_size=1)), max_size=4),
        shuffler=st.randoms(use_true_random=False),
    )
    def batch(self, posts, costs, wishes, shuffler):
        items: list[Item] = [
            Post(call.call_id, cost) for call, cost in zip(posts, costs, strict=False)
        ]
        items += [
            wish(f"req_{next(self.numbers)}", tuple(sorted(scopes)), bound)
            for bound, scopes in wishes
        ]
        shuffler.shuffle(items)
        outcomes = self.settle(items)
        pairs = list(zip(items, outcomes, strict=True))
        for item, outcome in pairs:
            if isinstance(item, Post):
                assert isinstance(outcome, Posted)
        return multiple(
            *(item for item, got in pairs if isinstance(item, Admit) and isinstance(got, Admitted))
        )

    @rule(target=posted_calls, call=consumes(open_calls), cost=MONEY)
    def post(self, call, cost):
        item = Post(call.call_id, cost)
        (outcome,) = self.settle([item])
        assert isinstance(outcome, Posted)
        return item

    @rule(call=open_calls, bound=MONEY)
    def extend(self, call, bound):
        opened = self.reserved[call.call_id]
        before = self.figures(SCOPES)
        more = bound - opened.bound_nano
        fits = more <= 0 or all(
            self.room(self.rows[name]) is None or more <= (self.room(self.rows[name]) or 0)
            for name in opened.balance_ids
        )
        (outcome,) = self.settle([Extend(call_id=call.call_id, bound_nano=bound)])
        assert isinstance(outcome, Extended) == fits
        if not fits:
            assert isinstance(outcome, Refused)
            assert self.figures(SCOPES) == before

    @rule(item=posted_calls)
    def post_again(self, item):
        before = self.figures(SCOPES)
        (outcome,) = self.settle([item])
        assert isinstance(outcome, AlreadyPosted)
        assert self.figures(SCOPES) == before

    @rule(name=st.sampled_from(SCOPES), limit=LIMITS)
    def change_limit(self, name, limit):
        self.rows[name].limit_nano = limit

    @rule(name=st.sampled_from(SCOPES), word=st.sampled_from([None, None, "revoked", "suspended"]))
    def block(self, name, word):
        self.rows[name].blocked = word

    @invariant()
    def every_balance_is_the_sum_of_its_rows(self):
        for name, row in self.rows.items():
            open_here = [call for call in self.reserved.values() if name in call.balance_ids]
            posted_here = [item for item, ids in self.ledger if name in ids]
            assert row.reserved_nano == sum(call.bound_nano for call in open_here)
            assert row.open_calls == len(open_here)
            assert row.spent_nano == sum(item.cost_nano for item in posted_here)

    @invariant()
    def every_call_is_on_the_ledger_once(self):
        calls = [item.call_id for item, _ in self.ledger]
        assert len(calls) == len(set(calls))
        assert not set(calls) & set(self.reserved)

    def figures(self, names: Iterable[str]) -> list[tuple[int, int, int]]:
        rows = [self.rows[name] for name in names]
        return [(row.spent_nano, row.reserved_nano, row.open_calls) for row in rows]

    @staticmethod
    def room(row: Balance) -> int | None:
        if row.limit_nano is None:
            return None
        return row.limit_nano - row.spent_nano - row.reserved_nano

    def fits(self, row: Balance, bound: int) -> bool:
        room = self.room(row)
        return row.blocked is None and (room is None or bound <= room)

    def check_reason(self, item: Admit, refused: Refused) -> None:
        """The scope that is named refuses indeed, and final means that no release can help."""
        row = next(row for row in self.rows.values() if row.scope_id == refused.scope_id)
        assert row.id in item.balance_ids
        assert not self.fits(row, item.nano(0))
        if refused.reason is Refusal.BLOCKED:
            assert refused.detail == row.blocked
            return
        assert row.limit_nano is not None
        assert refused.limit == row.limit_nano
        spent_alone_blocks = row.spent_nano + item.nano(0) > row.limit_nano
        assert (refused.reason is Refusal.BUDGET) == spent_alone_blocks
        assert (refused.reason is Refusal.RESERVED) == (not spent_alone_blocks)


def wish(call_id: str, balance_ids: tuple[str, ...], bound: int) -> Admit:
    return Admit(call_id=call_id, balance_ids=balance_ids, fixed=bound * UNITS)


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
