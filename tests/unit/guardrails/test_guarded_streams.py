"""Streams under guardrails: they fold to what the whole reply would be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.canonical import EVERYTHING, replies
from tests.unit.guardrails.guarding import blocking, guards_of, masking, prompted
from torana.core.chat import ChatReply, Finish, Text, Thinking, ToolCall, UrlCitation
from torana.core.events import (
    ArgumentsGrew,
    Began,
    Cited,
    Ended,
    Event,
    PartBegan,
    PartEnded,
    Signed,
    TextGrew,
    events_of,
    fold,
)
from torana.errors import GuardrailBlocked
from torana.guardrails.guarded import GuardedCalls
from torana.guardrails.replies import LOST_SIGNATURE, guard_reply
from torana.guardrails.streams import EventFilter

JANE = "jane@example.com"


def letters(events: list[Event]) -> list[Event]:
    """The same stream, a character at a time."""
    return [
        type(event)(event.index, letter) if isinstance(event, (TextGrew, ArgumentsGrew)) else event
        for event in events
        for letter in (event.text if isinstance(event, (TextGrew, ArgumentsGrew)) else "x")
    ]


def passed(guards: GuardedCalls, events: list[Event]) -> list[Event]:
    passes = EventFilter(guards)
    return [out for event in events for out in passes.pass_on(event)]


def masked() -> GuardedCalls:
    guards = guards_of(masking())
    prompted(guards, JANE)
    return guards


def reply_of(*parts) -> ChatReply:
    return ChatReply(id="1", model="m", parts=parts)


@given(replies(EVERYTHING), st.booleans())
def test_a_stream_folds_to_what_the_whole_reply_would_be(reply, finely):
    rules = [masking("both"), blocking("answer", patterns=["never[0-9]{9}here"])]
    events = letters(events_of(reply)) if finely else events_of(reply)
    streamed = fold(passed(guards_of(*rules), events))
    assert streamed == fold(events_of(guard_reply(guards_of(*rules), reply)))


def test_placeholders_become_values_in_overlapping_parts():
    events: list[Event] = [
        Began("1", "m"),
        PartBegan(0, Text("")),
        PartBegan(1, ToolCall("1", "send", "")),
        TextGrew(0, "to [EM"),
        ArgumentsGrew(1, '{"to": "[EMA'),
        TextGrew(0, "AIL_1]"),
        ArgumentsGrew(1, 'IL_1]"}'),
        PartEnded(1),
        TextGrew(0, "AIL_1] ["),
        PartEnded(0),
        Ended(Finish.STOP),
    ]
    events[5] = TextGrew(0, "AIL_1]")
    out = passed(masked(), events)
    assert fold(out).parts == (
        Text(f"to {JANE}AIL_1] ["),
        ToolCall("1", "send", f'{{"to": "{JANE}"}}'),
    )
    assert out.index(TextGrew(0, "to ")) < out.index(TextGrew(0, JANE))
    assert out[-2:] == [PartEnded(0), Ended(Finish.STOP)]


def test_the_end_brings_what_parts_without_an_end_had_held_back():
    out = passed(masked(), [PartBegan(0, Text("")), TextGrew(0, "[EM"), Ended(Finish.LENGTH)])
    assert out == [PartBegan(0, Text("")), TextGrew(0, "[EM"), Ended(Finish.LENGTH)]


@pytest.mark.parametrize("part", [Text("a secret is"), Thinking("a secret is")])
def test_nothing_of_a_match_passes_across_deltas(part):
    passes = EventFilter(guards_of(blocking("answer", words=["secret"])))
    out: list[Event] = []

    def stream() -> None:
        for event in letters(events_of(reply_of(part))):
            out.extend(passes.pass_on(event))

    with pytest.raises(GuardrailBlocked):
        stream()
    said = "".join(event.text for event in out if isinstance(event, TextGrew))
    assert "a secret".startswith(said)
    assert "s" not in said


def test_a_match_in_arguments_is_found_across_deltas():
    guards = guards_of(blocking("answer", words=["secret"]))
    events = letters(events_of(reply_of(ToolCall("1", "n", '{"a": "se\\u0063ret!"}'))))
    with pytest.raises(GuardrailBlocked):
        passed(guards, events)
    assert guards.outcomes == {"no-secrets": "blocked"}


def test_a_signature_comes_after_the_text_that_was_held_back():
    thinking = Thinking("so it is", signature="s", vendor="anthropic")
    guards = guards_of(blocking("answer", words=["secrets"]))
    out = passed(guards, letters(events_of(reply_of(thinking))))
    assert out.index(Signed(0, "s", "anthropic")) > max(
        place for place, event in enumerate(out) if isinstance(event, TextGrew)
    )
    assert fold(out).parts == (thinking,)


def test_thinking_that_goes_on_after_its_signature_is_judged_too():
    passes = EventFilter(guards_of(blocking("answer", words=["secret"])))
    passes.pass_on(PartBegan(0, Thinking("")))
    passes.pass_on(Signed(0, "s", "anthropic"))
    with pytest.raises(GuardrailBlocked):
        passes.pass_on(TextGrew(0, "a secret is"))


def test_thinking_that_was_changed_has_lost_its_signature():
    thinking = Thinking(f"{JANE} it is", signature="s", vendor="anthropic")
    reply = fold(passed(guards_of(masking("answer")), events_of(reply_of(thinking))))
    assert reply.parts == (Thinking("[EMAIL_1] it is"),)
    assert reply.lost == (LOST_SIGNATURE,)


def test_thinking_is_not_restored():
    thinking = Thinking("[EMAIL_1]", signature="s", vendor="anthropic")
    assert fold(passed(masked(), events_of(reply_of(thinking)))).parts == (thinking,)


def test_citations_are_texts_and_lose_their_place_in_a_text_that_was_changed():
    citation = UrlCitation("https://x.test", title="[EMAIL_1]", start=1, end=2)
    events: list[Event] = [PartBegan(0, Text("")), TextGrew(0, "[EMAIL_1]"), Cited(0, citation)]
    assert passed(masked(), events)[-1] == Cited(0, UrlCitation("https://x.test", title=JANE))
    events[1] = TextGrew(0, "nobody")
    assert passed(masked(), events)[-1] == Cited(
        0, UrlCitation("https://x.test", title=JANE, start=1, end=2)
    )


def test_ten_thousand_deltas_of_one_character_flow():
    passes = EventFilter(masked())
    passes.pass_on(PartBegan(0, Text("")))
    out = [passes.pass_on(TextGrew(0, "x")) for _ in range(10_000)]
    assert out == [[TextGrew(0, "x")]] * 10_000
