"""What becomes of a call's job in the teller beside yes and no."""

from __future__ import annotations

import msgspec
import pytest

from tests.support.further import further
from tests.unit.ledger.test_teller import (
    ASK,
    NOW,
    SETTLEMENT,
    MemoryLane,
    Observed,
    receipt,
    record,
)
from torana.core.rates import Rate, RateView
from torana.errors import BudgetExceeded, LedgerUnavailable
from torana.ledger.items import Admitted, Gone, Refusal, Refused, Replayed, Unopened
from torana.ledger.records import Receipt
from torana.ledger.teller import Teller


@pytest.fixture
def lane() -> MemoryLane:
    return MemoryLane()


@pytest.fixture
def teller(lane) -> Teller:
    return Teller(lane, Observed())


def test_a_receipt_tells_what_the_provider_is_held_to_and_what_is_left_of_rates(teller, lane):
    rates = RateView(requests=Rate(60, 59, 1.0))
    lane.outcomes["req_1"] = Admitted(77, output=12, rates=rates)
    made = teller.admit(record(), ASK)
    assert isinstance(made, Receipt)
    assert (made.bound_nano, made.output, made.rates) == (77, 12, rates)
    assert (made.admitted_at, made.balance_ids) == (NOW, ("bal_1", "bal_w"))


def test_a_repeated_request_is_told_which_call_has_its_answer(teller, lane):
    lane.outcomes["req_1"] = Replayed("req_0")
    assert teller.admit(record(), ASK) == Replayed("req_0")


def test_an_extension_gives_a_receipt_of_the_larger_bound(teller, lane):
    larger = teller.extend(receipt(), further(receipt(), 250))
    assert larger == msgspec.structs.replace(receipt(), bound_nano=250)
    assert lane.batches == [["req_1"]]


def test_an_extension_without_room_is_refused(teller, lane):
    lane.outcomes["req_1"] = Refused(Refusal.BUDGET, "key", "key_1", limit=1, used=1)
    with pytest.raises(BudgetExceeded):
        teller.extend(receipt(), further(receipt(), 250))


def test_a_call_that_was_posted_in_its_processs_stead_can_not_be_extended(teller, lane):
    lane.outcomes["req_1"] = Gone()
    with pytest.raises(LedgerUnavailable):
        teller.extend(receipt(), further(receipt(), 250))
    # It was no failure of the database, so others are admitted at once.
    lane.outcomes.clear()
    assert isinstance(teller.admit(record("req_2"), ASK), Receipt)
    teller.post(receipt(), SETTLEMENT)


def test_accounts_that_templates_want_are_opened_one_after_another(lane):
    opened: list[tuple[str, str]] = []

    def open_account(kind: str, scope_id: str) -> None:
        opened.append((kind, scope_id))

    # An end user and sixteen labels, each at a project and at its organisation.
    wanted = [
        Unopened(kind, f"{anchor}/{text}", f"bal_{anchor}")
        for anchor in ("proj_1", "org_1")
        for kind, text in [("end_user", "alice"), *[("tag", f"t{n}=x") for n in range(16)]]
    ]
    lane.outcomes["req_1"] = [*wanted, Admitted(100)]
    teller = Teller(lane, Observed(), open_account=open_account)
    assert isinstance(teller.admit(record(), ASK), Receipt)
    assert opened == [(one.scope_kind, one.scope_id) for one in wanted]


def test_an_account_that_can_not_be_opened_refuses_the_call(lane):
    def open_account(_kind: str, _scope_id: str) -> None:
        raise LedgerUnavailable("away")

    lane.outcomes["req_1"] = Unopened("end_user", "proj_1/alice", "bal_1")
    teller = Teller(lane, Observed(), open_account=open_account)
    with pytest.raises(LedgerUnavailable):
        teller.admit(record(), ASK)
