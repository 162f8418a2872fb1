"""Every pair of dialects, every scenario, through a real Torana: JSON, stream helper, raw stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.conformance import scenarios
from tests.conformance.callers.base import LIMIT, Caller, Got
from tests.conformance.pairs import Upstream, model_of, reading
from tests.conformance.said import Heard, Result
from tests.conformance.scenarios import Scenario
from tests.conformance.table import Table
from tests.conformance.upstreams.golden import Golden, conversation
from tests.contract.fake_upstream import FakeUpstream, Seen
from tests.support.server import RunningServer

MODES = ("create", "helper", "raw")


@pytest.mark.parametrize("scenario", scenarios.SCENARIOS, ids=lambda found: found.name)
def test_a_conversation_is_what_it_is_without_torana(
    caller: Caller,
    target: Upstream,
    upstream: FakeUpstream,
    torana: RunningServer,
    table: Table,
    scenario: Scenario,
):
    goldens: tuple[Golden, ...] = target.module.GOLDENS[scenario.name]
    script = conversation(goldens, target.module.answers_in)
    name, model = model_of(upstream, target, script)
    question = streamed_question = caller.question(scenario.asked, model)
    dropped: list[str] = []
    for number, golden in enumerate(goldens):
        expected = reading(caller.name, target.name, golden.said)
        whole = caller.create(question)
        assert caller.read(whole.message) == expected
        gathered = caller.helper(streamed_question)
        assert caller.settled(gathered.message) == caller.settled(whole.message)
        streamed = caller.raw(streamed_question)
        assert streamed.message == expected.text
        assert streamed.events == caller.sequence(
            expected, signed=bool(golden.seals), at_once=golden.at_once
        )
        for got in (whole, gathered, streamed):
            dropped += got.dropped
            # What was found too late for the header stands on the row.
            late = [name for name in _posted(torana, got, golden) if name not in got.dropped]
            dropped += [f"{name}*" for name in late]
        seen = upstream.seen(name)[-len(MODES) :]
        for request in seen:
            heard = _heard(target, request)
            assert heard == _expected(scenario, number, caller, target)
        # Both go on: the one with what JSON brought, the others with what the stream did.
        results = _results(scenario, target)
        question = caller.follow_up(question, whole.message, results)
        streamed_question = caller.follow_up(streamed_question, gathered.message, results)
    table.add(caller.name, target.name, scenario.name, dropped)


@pytest.mark.parametrize("mode", MODES)
def test_an_error_of_the_provider_is_the_sdks_own_and_is_posted(
    caller: Caller,
    target: Upstream,
    upstream: FakeUpstream,
    torana: RunningServer,
    table: Table,
    mode: str,
):
    name, model = model_of(upstream, target, target.module.BROKEN.play)
    with pytest.raises(caller.failures):
        _ask(caller, mode, caller.question(scenarios.BROKEN.asked, model))
    (entry,) = torana.entries_of(model)
    assert entry["status"] == "error"
    assert len(upstream.seen(name)) == 1
    if mode == MODES[-1]:
        table.add(caller.name, target.name, scenarios.BROKEN.name, ())


def _posted(torana: RunningServer, got: Got, golden: Golden) -> list[str]:
    """The call is on the ledger with what the provider counted; the losses that the row names."""
    entry = torana.entry(got.request_id)
    tokens = golden.said.tokens
    assert tokens is not None
    assert (entry["status"], entry["counted"]) == ("ok", "provider")
    assert (
        entry["input_tokens"],
        entry["cached_tokens"],
        entry["cache_write_tokens"],
        entry["output_tokens"],
        entry["reasoning_tokens"],
    ) == (tokens.plain, tokens.cached, tokens.written, tokens.visible, tokens.reasoning)
    return [name for attempt in entry["attempts"] for name in attempt.get("dropped", ())]


def _ask(caller: Caller, mode: str, question: dict[str, Any]) -> Got:
    got: Got = getattr(caller, mode)(question)
    return got


def _heard(target: Upstream, request: Seen) -> Heard:
    heard: Heard = target.module.heard(request.json())
    turns = tuple(_parsed(kind, value) for kind, value in heard.turns)
    return replace(heard, turns=turns, limit=None if heard.limit is None else LIMIT)


def _parsed(kind: str, value: Any) -> tuple[str, Any]:
    if kind != "call":
        return kind, value
    call_id, name, arguments = value
    return kind, (call_id, name, json.loads(arguments))


def _results(scenario: Scenario, target: Upstream) -> list[Result]:
    return [
        replace(result, call_id=target.module.call_id(result.call_id))
        for result in scenario.results
    ]


def _expected(scenario: Scenario, number: int, caller: Caller, target: Upstream) -> Heard:
    """What the upstream must have received at a turn."""
    asked = scenario.asked
    # Anthropic's dialect demands a limit, so its callers always give one.
    limited = "messages" in {caller.name, target.name}
    return Heard(
        system=asked.system,
        turns=(
            ("text", asked.text),
            *(("image", picture) for picture in asked.pictures),
            *(_history(scenario, number, caller, target)),
        ),
        tools=asked.tools,
        limit=LIMIT if limited else None,
        seals=target.module.GOLDENS[scenario.name][0].seals if number else (),
        stop=asked.stop,
        thinks=asked.thinks,
    )


def _history(
    scenario: Scenario, number: int, caller: Caller, target: Upstream
) -> Iterator[tuple[str, Any]]:
    if number == 0:
        return
    said = target.module.GOLDENS[scenario.name][0].said
    if said.text:
        yield "said", said.text
    for call in said.calls:
        yield "call", (call.id, call.name, call.arguments)
    for result in _results(scenario, target):
        # Only Anthropic's dialect has a mark for a failure.
        marked = {caller.name, target.name} == {"messages"}
        yield "result", replace(result, failed=result.failed and marked)
