"""The SDKs' parsing helpers: an answer that is held to a schema becomes an object of the user's."""

from __future__ import annotations

from typing import Any

import openai
import pydantic
import pytest

from tests.conformance.callers.base import LIMIT, Caller
from tests.conformance.callers.chat import ChatCaller
from tests.conformance.callers.messages import MessagesCaller
from tests.conformance.callers.responses import ResponsesCaller
from tests.conformance.pairs import Upstream
from tests.conformance.said import Asked, Call, Said
from tests.conformance.traps.asking import Scene
from tests.contract.fake_upstream import FakeUpstream


class Place(pydantic.BaseModel):
    """What the answer must be."""

    name: str
    people: int


ZURICH = Place(name="Zürich", people=448_664)
SAID = Said(text=ZURICH.model_dump_json())
QUESTION = "Which city?"


def _parse(caller: Caller, model: str) -> Any:
    turns: Any = [{"role": "user", "content": QUESTION}]
    if isinstance(caller, ChatCaller):
        answer = caller.sdk.chat.completions.parse(
            model=model, messages=turns, response_format=Place
        )
        return answer.choices[0].message.parsed
    if isinstance(caller, ResponsesCaller):
        return caller.sdk.responses.parse(
            model=model, input=turns, text_format=Place, store=False
        ).output_parsed
    assert isinstance(caller, MessagesCaller)
    return caller.sdk.messages.parse(
        model=model, max_tokens=LIMIT, messages=turns, output_format=Place
    ).parsed_output


def _parse_stream(caller: Caller, model: str) -> Any:
    turns: Any = [{"role": "user", "content": QUESTION}]
    if isinstance(caller, ChatCaller):
        with caller.sdk.chat.completions.stream(
            model=model, messages=turns, response_format=Place
        ) as chunks:
            return chunks.get_final_completion().choices[0].message.parsed
    if isinstance(caller, ResponsesCaller):
        with caller.sdk.responses.stream(
            model=model, input=turns, text_format=Place, store=False
        ) as events:
            return events.get_final_response().output_parsed
    assert isinstance(caller, MessagesCaller)
    with caller.sdk.messages.stream(
        model=model, max_tokens=LIMIT, messages=turns, output_format=Place
    ) as events:
        return events.get_final_message().parsed_output


@pytest.mark.parametrize("parse", [_parse, _parse_stream], ids=["json", "stream"])
def test_an_answer_is_parsed_to_the_users_own_class(
    caller: Caller, target: Upstream, upstream: FakeUpstream, parse: Any
):
    scene = Scene(caller, upstream, target.name, target.module.golden(SAID))
    assert parse(caller, scene.model) == ZURICH
    (body,) = scene.bodies
    schema = {
        "chat": lambda: body["response_format"]["json_schema"]["schema"],
        "responses": lambda: body["text"]["format"]["schema"],
        "messages": lambda: body["output_config"]["format"]["schema"],
    }[target.name]()
    assert set(schema["properties"]) == {"name", "people"}
    assert schema["additionalProperties"] is False


class GetPlace(pydantic.BaseModel):
    """A tool as openai's helper makes it from a class."""

    city: str


TOOL_SAID = Said(calls=(Call(id="1", name="GetPlace", arguments={"city": "Zürich"}),), end="tools")


@pytest.mark.parametrize("streams", [False, True], ids=["json", "stream"])
def test_a_tools_arguments_are_parsed_to_the_users_own_class(
    callers: dict[str, Caller], target: Upstream, upstream: FakeUpstream, streams: bool
):
    caller = callers["chat"]
    assert isinstance(caller, ChatCaller)
    scene = Scene(caller, upstream, target.name, target.module.golden(TOOL_SAID))
    asked: dict[str, Any] = {
        **scene.question(Asked(text=QUESTION)),
        "tools": [openai.pydantic_function_tool(GetPlace)],
    }
    if streams:
        with caller.sdk.chat.completions.stream(**asked) as chunks:
            answer = chunks.get_final_completion()
    else:
        answer = caller.sdk.chat.completions.parse(**asked)
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == GetPlace(city="Zürich")
