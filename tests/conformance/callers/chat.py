"""The openai SDK's chat completions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.conformance.callers.base import SECONDS, Caller, Got, Question, runs, valid
from tests.conformance.said import Asked, Call, End, Picture, Result, Said, Tokens, Tool

_ENDS: dict[str, End] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tools",
    "content_filter": "refusal",
}


class ChatCaller(Caller):
    """Asks `/v1/chat/completions`."""

    name = "chat"
    failures = (openai.APIError,)

    def __init__(self, url: str, key: str) -> None:
        self.sdk = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=SECONDS)

    def close(self) -> None:
        self.sdk.close()

    def question(self, asked: Asked, model: str) -> Question:
        content: Any = asked.text
        if asked.pictures:
            content = [{"type": "text", "text": asked.text}]
            content += [
                {"type": "image_url", "image_url": {"url": url_of(picture)}}
                for picture in asked.pictures
            ]
        system = [{"role": "system", "content": asked.system}] if asked.system else []
        question: Question = {
            "model": model,
            "messages": [*system, {"role": "user", "content": content}],
        }
        if asked.tools:
            question["tools"] = [_tool(tool) for tool in asked.tools]
        if asked.thinks:
            question["reasoning_effort"] = "medium"
        if asked.stop:
            question["stop"] = list(asked.stop)
        return question

    def follow_up(self, question: Question, message: Any, results: Sequence[Result]) -> Question:
        answer = message.choices[0].message
        brought = [
            {"role": "tool", "tool_call_id": result.call_id, "content": result.text}
            for result in results
        ]
        return {**question, "messages": [*question["messages"], answer, *brought]}

    def create(self, question: Question) -> Got:
        raw = self.sdk.chat.completions.with_raw_response.create(**question)
        return Got(message=valid(raw.parse()), headers=raw.headers)

    def helper(self, question: Question) -> Got:
        with self.sdk.chat.completions.stream(
            **question, stream_options={"include_usage": True}
        ) as stream:
            stream.until_done()
            headers = stream._response.headers
            try:
                message: ChatCompletion = stream.get_final_completion()
            except (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError):
                # What was gathered is whole all the same; only its parsing is refused.
                message = stream.current_completion_snapshot
            return Got(message=message, headers=headers)

    def raw(self, question: Question) -> Got:
        names, texts = list[str](), list[str]()
        with self.sdk.chat.completions.create(
            **question, stream=True, stream_options={"include_usage": True}
        ) as stream:
            for chunk in stream:
                names.append(_kind(valid(chunk)))
                texts += [choice.delta.content or "" for choice in chunk.choices]
            headers = stream.response.headers
        return Got(message="".join(texts), headers=headers, events=runs(names))

    def read(self, message: ChatCompletion) -> Said:
        (choice,) = message.choices
        assert choice.message.role == "assistant"
        extra = choice.message.model_extra or {}
        details = extra.get("reasoning_details") or []
        end = _ENDS[choice.finish_reason]
        if choice.message.refusal:
            end = "refusal"
        return Said(
            text=choice.message.content or "",
            thoughts=extra.get("reasoning_content") or "",
            hidden=sum(piece["type"] == "reasoning.encrypted" for piece in details),
            refusal=choice.message.refusal or "",
            calls=tuple(_call(call) for call in choice.message.tool_calls or ()),
            end=end,
            tokens=_tokens(message),
        )

    def settled(self, message: ChatCompletion) -> Any:
        plain = message.model_dump(exclude_none=True)
        for name in ("id", "created"):
            assert plain.pop(name)
        # The helper's own class adds what it has parsed; a chunk has no annotations.
        for choice in plain["choices"]:
            assert choice["message"].pop("annotations", []) == []
            choice["message"].pop("parsed", None)
            for call in choice["message"].get("tool_calls", ()):
                call.pop("index", None)
                call["function"].pop("parsed_arguments", None)
                # The text is the model's in a stream; Anthropic's JSON has an object.
                call["function"]["arguments"] = json.loads(call["function"]["arguments"])
            for piece in choice["message"].get("reasoning_details", ()):
                piece.pop("index", None)
            if not choice["message"].get("content"):
                choice["message"].pop("content", None)
        plain.pop("obfuscation", None)
        # Known at the end where it is translated; the helper takes it from the first chunk.
        plain.pop("service_tier", None)
        return plain

    def sequence(
        self, said: Said, *, signed: bool = False, at_once: bool = False
    ) -> tuple[str, ...]:
        del signed, at_once
        calls = ("tool_calls",) if said.calls else ()
        return (
            "role",
            *(("reasoning",) if said.thoughts else ()),
            *(("content",) if said.text else ()),
            *(("refusal",) if said.refusal else ()),
            *calls,
            "finish",
            "usage",
        )


def url_of(picture: Picture) -> str:
    """OpenAI's one field for both kinds of pictures."""
    return picture.url or f"data:{picture.media_type};base64,{picture.data}"


def _tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    return {"type": "function", "function": function}


def _call(call: Any) -> Call:
    assert call.type == "function"
    arguments = json.loads(call.function.arguments)
    return Call(id=call.id, name=call.function.name, arguments=arguments)


def _tokens(message: ChatCompletion) -> Tokens | None:
    usage = message.usage
    if usage is None:
        return None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    prompt, answer = usage.prompt_tokens_details, usage.completion_tokens_details
    cached = (prompt.cached_tokens or 0) if prompt else 0
    written = (prompt.cache_write_tokens or 0) if prompt else 0
    reasoning = (answer.reasoning_tokens or 0) if answer else 0
    return Tokens(
        plain=usage.prompt_tokens - cached - written,
        cached=cached,
        written=written,
        visible=usage.completion_tokens - reasoning,
        reasoning=reasoning,
    )


def _kind(chunk: ChatCompletionChunk) -> str:
    assert chunk.object == "chat.completion.chunk"
    if not chunk.choices:
        assert chunk.usage is not None
        return "usage"
    # Every other chunk has `usage: null` when the usage was asked for.
    assert chunk.usage is None
    assert "usage" in chunk.model_fields_set
    (choice,) = chunk.choices
    if choice.finish_reason is not None:
        return "finish"
    delta = choice.delta.model_dump()
    if delta.get("reasoning_content") or delta.get("reasoning_details"):
        return "reasoning"
    for name in ("tool_calls", "refusal", "content"):
        if delta[name]:
            return name
    assert delta["role"] == "assistant"
    return "role"
