"""docs/translation.md holds every name that a loss can have, and nothing is lost by another name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from tests.support.canonical import EVERYTHING, calls, replies
from tests.support.canonical_parts import (
    ARGUMENTS,
    BASE64,
    NAMES,
    TEXTS,
    documents,
    images,
    texts,
    thinking,
)
from torana.core.chat import (
    Audio,
    ChatCall,
    ChatReply,
    CustomTool,
    Message,
    Part,
    Refusal,
    ToolCall,
    ToolResult,
)
from torana.core.events import events_of
from torana.dialects.anthropic import ANTHROPIC, losses
from torana.dialects.base import ChatDialect, ReplyFrame, Traits
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.openai_chat import call_reader as chat_reader
from torana.dialects.openai_chat import call_writer as chat_writer
from torana.dialects.openai_chat import replies as chat_replies
from torana.dialects.openai_completions import OPENAI_COMPLETIONS
from torana.dialects.openai_completions import calls as completion_calls
from torana.dialects.openai_completions import replies as completion_replies
from torana.dialects.openai_responses import OPENAI_RESPONSES, reading, response_object, writing
from torana.errors import InvalidRequest

DOCUMENT = (Path(__file__).parents[2] / "docs" / "translation.md").read_text(encoding="utf-8")
Table = Mapping[str, str]

WRITTEN: dict[ChatDialect, tuple[str, Table]] = {
    ANTHROPIC: ("Calls for Anthropic", losses.CALL_LOSSES),
    OPENAI_CHAT: ("Calls for OpenAI chat", chat_writer.LOST),
    OPENAI_RESPONSES: ("Calls for OpenAI responses", writing.LOST),
    OPENAI_COMPLETIONS: ("Calls for OpenAI completions", completion_calls.LOST),
}
UNSAID: dict[ChatDialect, tuple[str, Table]] = {
    ANTHROPIC: ("Callers of Anthropic", losses.UNSAID),
    OPENAI_CHAT: ("Callers of OpenAI chat", chat_reader.UNSAID),
    OPENAI_RESPONSES: ("Callers of OpenAI responses", reading.UNSAID),
    OPENAI_COMPLETIONS: ("Callers of OpenAI completions", completion_calls.UNSAID),
}
ANSWERED: dict[ChatDialect, tuple[str, Table]] = {
    ANTHROPIC: ("Answers to callers of Anthropic", losses.REPLY_LOSSES),
    OPENAI_CHAT: ("Answers to callers of OpenAI chat", chat_replies.LOST),
    OPENAI_RESPONSES: ("Answers to callers of OpenAI responses", response_object.LOST),
    OPENAI_COMPLETIONS: ("Answers to callers of OpenAI completions", completion_replies.LOST),
}
UNREAD = [
    ("Answers of OpenAI chat", chat_replies.UNREAD),
    ("Answers of OpenAI completions", completion_replies.UNREAD),
]
TABLES = dict([*WRITTEN.values(), *UNSAID.values(), *ANSWERED.values(), *UNREAD])

SECTIONS = ("Losses of calls", "What no call can hold", "Losses of answers")


def rows(section: str) -> dict[str, list[str]]:
    """The first cells of the tables under each heading of a section."""
    _, _, text = DOCUMENT.partition(f"\n## {section}\n")
    text = text.partition("\n## ")[0]
    found: dict[str, list[str]] = {}
    for part in text.split("\n### ")[1:]:
        title, _, body = part.partition("\n")
        found[title] = re.findall(r"^\| (`.*?) \|", body, re.MULTILINE)
    return {title: cells for title, cells in found.items() if cells}


DOCUMENTED = {
    title: [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    for section in SECTIONS
    for title, cells in rows(section).items()
}


@pytest.mark.parametrize("title", sorted(TABLES))
def test_every_name_of_a_loss_is_documented_and_no_other(title):
    assert sorted(DOCUMENTED[title]) == sorted(TABLES[title])


def test_no_table_of_the_document_is_without_one_in_the_code():
    assert DOCUMENTED.keys() == TABLES.keys()


def test_every_link_of_the_document_leads_somewhere():
    headings = re.findall(r"^#+ (.*)$", DOCUMENT, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in headings}
    links = re.findall(r"\]\(([^)]+)\)", DOCUMENT)
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        assert not path or (Path(__file__).parents[2] / "docs" / path).exists(), link
        assert path or anchor in anchors, link


# --- the names that are really told ------------------------------------------------------------


def is_in(name: str, table: Table) -> bool:
    """Whether a name is in a table, in which `...` stands for what was sent."""
    if "..." in table and re.fullmatch(r"[^=\[\].]+", name):
        return True  # A field of the request itself.
    starts = [known.removesuffix("...") for known in table if known.endswith("...") and known[:-3]]
    return name in table or any(name.startswith(start) for start in starts)


def unknown(names: tuple[str, ...], table: Table) -> list[str]:
    return [name for name in names if not is_in(name, table)]


ODD_PARTS: st.SearchStrategy[Part] = st.one_of(
    texts(EVERYTHING, cited=True),
    images(EVERYTHING),
    documents(EVERYTHING),
    thinking(EVERYTHING),
    st.builds(Audio, data=BASE64, format=st.sampled_from(["wav", "mp3"])),
    st.builds(Refusal, TEXTS),
    st.builds(ToolCall, id=TEXTS, name=NAMES, arguments=ARGUMENTS | TEXTS, custom=st.booleans()),
    st.builds(ToolResult, call_id=TEXTS, parts=st.just(()), is_error=st.booleans()),
)
"""What may stand in a message, wherever it belongs."""
ODD_MESSAGES = st.builds(
    Message,
    role=st.sampled_from(["system", "developer", "user", "assistant"]),
    parts=st.lists(ODD_PARTS, min_size=1, max_size=3).map(tuple),
    name=st.none() | NAMES,
)
TRAITS = st.builds(
    Traits,
    max_output=st.sampled_from([None, 500, 100_000]),
    reasons=st.booleans(),
    structured_output=st.booleans(),
    adaptive_thinking=st.booleans(),
    system_messages=st.booleans(),
)


@st.composite
def odd_calls(draw: st.DrawFn) -> ChatCall:
    """Calls with what only some dialect can say, and with what stands in odd places."""
    changes: dict[str, st.SearchStrategy[Any]] = {
        "stop": st.lists(TEXTS | st.just(" "), max_size=6).map(tuple),
        "service_tier": st.sampled_from([None, "default", "ultrafast", "new"]),
        "end_user": st.sampled_from([None, "ada", "a" * 200]),
        "metadata": st.sampled_from([{}, {"a": "b"}, {"a": "b" * 600}]),
        "max_output": st.sampled_from([None, 1, 2_000]),
        "temperature": st.sampled_from([None, 1.0, 1.5]),
        "messages": st.lists(ODD_MESSAGES, min_size=1, max_size=4).map(tuple),
        "tools": st.just((CustomTool("free", None, {"type": "grammar", "definition": "a"}),)),
    }
    call = draw(calls(EVERYTHING))
    chosen = draw(st.sets(st.sampled_from(sorted(changes))))
    return msgspec.structs.replace(call, **{name: draw(changes[name]) for name in sorted(chosen)})


@pytest.mark.parametrize("dialect", [ANTHROPIC, OPENAI_CHAT, OPENAI_RESPONSES])
@given(odd_calls(), TRAITS)
def test_a_call_loses_nothing_by_a_name_that_is_not_documented(dialect, call, traits):
    try:
        written = dialect.write_call(call, traits)
    except InvalidRequest:
        return  # Refused, so nothing is lost.
    assert unknown(written.lost, WRITTEN[dialect][1]) == []


PROMPTS = st.tuples(
    st.builds(
        Message,
        role=st.just("user"),
        parts=st.lists(texts(EVERYTHING, cited=True), min_size=1, max_size=2).map(tuple),
        name=st.none() | NAMES,
    )
)


@given(odd_calls(), PROMPTS)
def test_a_prompt_loses_nothing_by_a_name_that_is_not_documented(call, messages):
    plain = msgspec.structs.replace(call, messages=messages, tools=(), tool_choice=None)
    written = OPENAI_COMPLETIONS.write_call(plain, Traits())
    assert unknown(written.lost, WRITTEN[OPENAI_COMPLETIONS][1]) == []


def with_more(value: Any) -> Any:
    """A request with an unknown field in each of its objects."""
    if isinstance(value, dict):
        return {key: with_more(inner) for key, inner in value.items()} | {"novel": 1}
    return [with_more(inner) for inner in value] if isinstance(value, list) else value


def finite(text: str) -> float:
    """A number that Python can write again; arguments of tools may be beyond."""
    return max(min(float(text), 1e300), -1e300)


def written_by(dialect: ChatDialect, call: ChatCall) -> dict[str, Any]:
    """A request that a client could have sent."""
    try:
        request = dialect.write_call(call, Traits()).request
    except InvalidRequest:
        reject()
    body = dialect.encode_upstream(request, model="m")
    sent: dict[str, Any] = json.loads(body, parse_float=finite)
    return sent


@pytest.mark.parametrize("dialect", [ANTHROPIC, OPENAI_CHAT, OPENAI_RESPONSES])
@given(calls(EVERYTHING), st.booleans())
def test_what_no_call_can_hold_is_named_as_documented(dialect, call, more):
    sent = written_by(dialect, call)
    if more:
        sent = {key: with_more(value) for key, value in sent.items()} | {"novel": 1}
        if "metadata" in sent:
            del sent["metadata"]["novel"]  # Its names are the caller's.
        sent.pop("logit_bias", None)
    read = dialect.read_call(dialect.decode_request(json.dumps(sent).encode()))
    assert unknown(read.unsaid, UNSAID[dialect][1]) == []
    assert ("novel" in read.unsaid) is more


OPAQUE = {"schema", "parameters", "input_schema", "logit_bias"}
"""Objects that a call holds as they are."""


def objects_in(value: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a request that a reader must know, with their places."""
    if isinstance(value, list):
        for inner in value:
            yield from objects_in(inner, f"{where}[]")
    elif isinstance(value, dict):
        yield where.removeprefix("."), value
        kind = value.get("type")
        for name, inner in value.items():
            whole = (kind == "tool_use" and name == "input") or (
                # A grammar, and the citations of a text.
                (kind in {"custom", "grammar"} and name == "format")
                or (kind == "text" and name == "citations")
            )
            if name not in OPAQUE and not whole:
                yield from objects_in(inner, f"{where}.{name}")


@pytest.mark.parametrize("dialect", [ANTHROPIC, OPENAI_CHAT, OPENAI_RESPONSES])
@given(calls(EVERYTHING), st.randoms())
def test_an_unknown_field_in_any_object_of_a_request_is_named(dialect, call, chance):
    sent = written_by(dialect, call)
    if dialect is not ANTHROPIC:
        sent.pop("metadata", None)  # Its names are the caller's.
    place, chosen = chance.choice(list(objects_in(sent)))
    chosen["novel"] = 1
    read = dialect.read_call(dialect.decode_request(json.dumps(sent).encode()))
    assert [name for name in read.unsaid if name.endswith("novel")], place


def test_an_unknown_field_of_a_completion_is_named_by_itself():
    body = b'{"model":"m","prompt":"p","novel":1}'
    read = OPENAI_COMPLETIONS.read_call(OPENAI_COMPLETIONS.decode_request(body))
    assert read.unsaid == ("novel",)


# --- answers -----------------------------------------------------------------------------------


@st.composite
def odd_replies(draw: st.DrawFn) -> ChatReply:
    """Replies with what only some dialect can say, and with parts that no answer has."""
    reply = draw(replies(EVERYTHING))
    more = draw(st.lists(ODD_PARTS, max_size=2))
    tier = draw(st.sampled_from([None, "default", "standard", "new"]))
    return msgspec.structs.replace(reply, parts=(*reply.parts, *more), service_tier=tier)


def frames(dialect: ChatDialect) -> Iterator[ReplyFrame]:
    body: dict[str, Any] = {"model": "m", "max_tokens": 9, "stream": True}
    body |= {"messages": [{"role": "user", "content": "x"}], "prompt": "x", "input": "x"}
    old = {"functions": [{"name": "f", "parameters": {}}]}
    for fields in (body, body | old):
        if dialect is OPENAI_RESPONSES:
            fields = {name: fields[name] for name in ("model", "stream", "input")}  # noqa: PLW2901 -- its own form.
        request = dialect.decode_request(json.dumps(fields).encode())
        yield ReplyFrame(request=request, request_id="req_7")


@pytest.mark.parametrize("dialect", list(ANSWERED))
@given(odd_replies())
def test_an_answer_loses_nothing_by_a_name_that_is_not_documented(dialect, reply):
    table = ANSWERED[dialect][1]
    for frame in frames(dialect):
        assert unknown(dialect.write_reply(reply, frame).lost, table) == []
        writer = dialect.writer(frame)
        for event in events_of(reply):
            writer.write(event)
        writer.end()
        assert unknown(writer.lost, table) == []
