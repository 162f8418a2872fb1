"""Answers that break after their head, before their caller has seen a byte of them."""

from __future__ import annotations

import pytest

from tests.unit.inference.fakes import Step
from tests.unit.inference.serving import CHAT_BEGIN, completion, read
from tests.unit.inference.test_attempts import Two
from torana.errors import BudgetExceeded, UpstreamCut, UpstreamGarbage

HALF = b'{"id": "chatcmpl-1", "cho'
CUT: list[Step] = [HALF, UpstreamCut("cut")]
GARBAGE: list[Step] = [b"<html>garbage</html>"]


@pytest.mark.parametrize(
    ("steps", "code"),
    [(CUT, "upstream_cut"), (GARBAGE, "upstream_garbage")],
    ids=["cut", "garbage"],
)
def test_a_json_answer_that_breaks_is_made_elsewhere_and_both_are_paid(steps, code):
    two = Two()
    two.first.tries.append(list(steps))
    two.second.says(completion())
    answer = two.call()
    assert read(answer)["choices"][0]["message"]["content"] == "Hello"
    assert answer.headers["x-torana-provider"] == "second"
    assert two.outcomes == [("first", code), ("second", "answered")]
    first, second = two.teller.settlement.attempts
    bound = two.teller.asked[0].bound.nano()
    assert (first["cost_nano"], second["cost_nano"]) == (bound, 5 * 9)
    assert two.teller.settlement.cost_nano == bound + 5 * 9
    assert two.first.answers[0].closed


def test_a_broken_answer_is_not_asked_for_again_at_the_same_target():
    two = Two(attempts=5)
    two.first.tries.append(list(CUT))
    with pytest.raises(UpstreamCut):
        two.call("first/m")
    assert len(two.first.sent) == 1
    settlement = two.teller.settlement
    assert settlement.cost_nano == two.teller.asked[0].bound.nano()
    assert settlement.counted == "bound"


def test_every_target_is_asked_once_before_any_is_asked_again():
    two = Two(attempts=3, uncertain=True)
    two.first.tries.append(list(CUT))
    two.second.tries.append(list(CUT))
    two.first.says(completion())
    assert two.call().headers["x-torana-provider"] == "first"
    assert [name for name, _ in two.outcomes] == ["first", "second", "first"]


def test_without_room_for_another_the_broken_answer_is_what_the_caller_hears_of():
    two = Two()
    two.teller.extend_error = BudgetExceeded("no room")
    two.first.tries.append(list(GARBAGE))
    with pytest.raises(UpstreamGarbage):
        two.call()
    assert two.second.sent == []
    assert two.teller.settlement.cost_nano == two.teller.asked[0].bound.nano()


def test_a_json_answer_in_the_place_of_a_stream_goes_elsewhere_too():
    two = Two()
    two.first.says(completion())
    two.second.tries.append([CHAT_BEGIN])
    answer = two.stream()
    assert answer.headers["x-torana-provider"] == "second"
    answer.frames.close()
    assert two.outcomes[0] == ("first", "upstream_garbage")


def test_health_hears_of_a_broken_answer_as_a_failure_and_of_nothing_else():
    two = Two()
    two.first.tries.append(list(CUT))
    two.second.says(completion())
    two.call()
    views = {view.provider: view for view in two.health.all()}
    assert (views["first"].recent_failures, views["first"].open_calls) == (1, 0)
    assert (views["second"].recent_failures, views["second"].open_calls) == (0, 0)
