"""A call between its admission and its posting."""

from __future__ import annotations

import logging

import pytest

from tests.unit.inference.fakes import BOUND, Scene
from torana.core.usage import NO_USAGE, Counted, Usage
from torana.errors import CallerGone, Draining, LedgerUnavailable, UpstreamCut, UpstreamTimeout
from torana.ledger.records import Status
from torana.routing.catalog import Target

USAGE = Usage(input_tokens=10, output_tokens=5)
COST = 10 + 15


def test_a_call_that_succeeds_is_posted_with_its_usage_and_its_cost():
    scene = Scene()
    call = scene.open()
    call.provider_request_id = "theirs"
    call.begin_attempt()
    assert call.succeed(USAGE) == COST
    (receipt, settlement), *more = scene.teller.posts
    assert more == []
    assert receipt.record.call_id == "req_1"
    assert (settlement.status, settlement.counted) == (Status.OK, Counted.PROVIDER)
    assert (settlement.usage, settlement.cost_nano) == (USAGE, COST)
    assert (settlement.http_status, settlement.error_code) == (200, None)
    assert (settlement.provider, settlement.target_model) == ("fake", "target-model")
    assert (settlement.price_id, settlement.streamed) == ("price_1", True)
    assert settlement.provider_request_id == "theirs"
    assert settlement.attempts == [
        {"n": 1, "provider": "fake", "model": "target-model", "cost_nano": COST}
    ]


def test_a_call_whose_provider_told_no_usage_costs_its_bound():
    scene = Scene()
    assert scene.open().succeed(None) == BOUND
    assert scene.teller.settlement.counted == Counted.BOUND
    assert scene.teller.settlement.usage == NO_USAGE


def test_a_usage_of_zero_is_a_usage():
    scene = Scene()
    assert scene.open().succeed(NO_USAGE) == 0
    assert scene.teller.settlement.counted == Counted.PROVIDER


def test_a_usage_above_the_bound_is_posted_in_full():
    scene = Scene(bound_nano=1)
    assert scene.open().succeed(USAGE) == COST


def test_a_call_without_a_price_costs_nothing_and_says_so():
    scene = Scene(target=Target(provider="fake", model="m"), bound_nano=0)
    assert scene.open().succeed(USAGE) == 0
    assert scene.teller.settlement.price_id is None
    assert scene.teller.settlement.usage == USAGE


@pytest.mark.parametrize(
    ("usage", "billable", "nano", "counted"),
    [
        (None, True, BOUND, Counted.BOUND),
        (USAGE, True, COST, Counted.PROVIDER),
        (None, False, 0, Counted.PROVIDER),
        (USAGE, False, 0, Counted.PROVIDER),
    ],
)
def test_a_failure_costs_its_usage_or_its_bound_if_it_may_have_been_processed(
    usage, billable, nano, counted
):
    scene = Scene()
    assert scene.open().fail(UpstreamTimeout("slow"), usage=usage, billable=billable) == nano
    settlement = scene.teller.settlement
    assert (settlement.status, settlement.counted) == (Status.ERROR, counted)
    assert (settlement.http_status, settlement.error_code) == (504, "upstream_timeout")


def test_an_answer_that_nobody_waited_for_is_cancelled_and_costs_what_it_used():
    scene = Scene()
    call = scene.open()
    scene.link.is_gone = True
    assert call.succeed(USAGE) == COST
    settlement = scene.teller.settlement
    assert (settlement.status, settlement.error_code) == (Status.CANCELLED, "caller_gone")


@pytest.mark.parametrize("leave", ["link", "server", "error"])
def test_a_failure_after_the_caller_has_gone_is_cancelled(leave):
    scene = Scene()
    call = scene.open()
    error: UpstreamCut | CallerGone = UpstreamCut("cut")
    if leave == "link":
        scene.link.is_gone = True
    elif leave == "server":
        call.caller_left()
    else:
        error = CallerGone("gone")
    call.fail(error, usage=None, billable=True)
    assert scene.teller.settlement.status == Status.CANCELLED
    assert scene.teller.settlement.http_status == 499


def test_a_call_is_settled_once():
    scene = Scene()
    call = scene.open()
    call.succeed(USAGE)
    with pytest.raises(RuntimeError, match="settled twice"):
        call.succeed(USAGE)
    with pytest.raises(RuntimeError, match="settled twice"):
        call.fail(UpstreamCut("cut"), usage=None, billable=True)
    assert len(scene.teller.posts) == len(scene.forgotten) == len(scene.metrics.settled) == 1


def test_a_call_that_can_not_be_posted_is_over_all_the_same():
    scene = Scene()
    scene.teller.post_error = LedgerUnavailable("away")
    call = scene.open()
    with pytest.raises(LedgerUnavailable):
        call.succeed(USAGE)
    assert call.settled
    assert scene.forgotten == [call]
    assert scene.link.unwatches == 1


def test_the_watch_on_the_caller_ends_with_the_call():
    scene = Scene()
    call = scene.open()
    assert (scene.link.watches, scene.link.unwatches) == (1, 0)
    call.succeed(USAGE)
    assert scene.link.unwatches == 1


def test_a_stopped_call_is_cut_and_knows_who_stopped_it_first():
    scene = Scene()
    call = scene.open()
    draining = Draining("stopping")
    call.stop(draining)
    call.stop(CallerGone("later"))
    assert scene.exchange.aborted
    assert call.cause_of(UpstreamCut("cut")) is draining


def test_a_call_that_nobody_stopped_failed_by_itself():
    error = UpstreamCut("cut")
    assert Scene().open().cause_of(error) is error


@pytest.mark.parametrize(
    ("seconds", "stopped"), [(0.0, False), (59.9, False), (60.0, True), (99, True)]
)
def test_a_callers_answer_is_read_on_as_long_as_policy_says(seconds, stopped):
    scene = Scene(drain_seconds=60.0)
    call = scene.open()
    scene.link.hang_up(seconds)
    assert scene.exchange.aborted == stopped
    assert call.gone()


def test_without_time_to_drain_a_hang_up_stops_the_provider_at_once():
    scene = Scene(drain_seconds=0.0)
    call = scene.open()
    scene.link.hang_up(0.0)
    assert scene.exchange.aborted
    assert isinstance(call.cause_of(UpstreamCut("cut")), CallerGone)


def test_times_are_counted_from_the_request():
    scene = Scene()
    call = scene.open()
    call.first_byte()
    call.succeed(USAGE)
    settlement = scene.teller.settlement
    assert settlement.first_byte_ms is not None
    assert 0 <= settlement.first_byte_ms <= settlement.duration_ms


def test_without_a_first_byte_there_is_no_time_of_it():
    scene = Scene()
    scene.open().fail(UpstreamTimeout("slow"), usage=None, billable=True)
    assert scene.teller.settlement.first_byte_ms is None


def test_the_figures_of_a_call_are_counted():
    scene = Scene()
    call = scene.open()
    call.first_byte()
    call.succeed(Usage(input_tokens=1, cached_tokens=2, output_tokens=3, reasoning_tokens=4))
    (figures,) = scene.metrics.settled
    assert (figures.route, figures.provider) == ("openai.chat.completions", "fake")
    assert (figures.model, figures.status) == ("asked-model", "ok")
    assert (figures.input_tokens, figures.output_tokens) == (3, 7)
    assert figures.cost_nano == scene.teller.settlement.cost_nano


def test_a_call_is_one_line_in_the_log(caplog):
    scene = Scene()
    call = scene.open()
    with caplog.at_level(logging.INFO):
        call.succeed(USAGE)
    (record,) = caplog.records
    assert record.getMessage() == "call.settled"
    assert vars(record)["request_id"] == "req_1"
    assert vars(record)["cost_nano"] == COST
    assert vars(record)["status"] == "ok"
