"""The anthropic SDK's messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anthropic
from anthropic.types import Message

from tests.conformance.callers.base import LIMIT, SECONDS, Caller, Got, Question, runs, valid
from tests.conformance.said import Asked, Call, End, Picture, Result, Said, Tokens

_ENDS: dict[str | None, End] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "tool_use": "tools",
    "refusal": "refusal",
}


class MessagesCaller(Caller):
    """Asks `/v1/messages`."""

    name = "messages"
    failures = (anthropic.APIError,)

    def __init__(self, url: str, key: str) -> None:
        self.sdk = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=SECONDS)

    def close(self) -> None:
        self.sdk.close()

    def question(self, asked: Asked, model: str) -> Question:
        content: Any = asked.text
        if asked.pictures:
            content = [{"type": "text", "text": asked.text}]
            content += [{"type": "image", "source": _source(picture)} for picture in asked.pictures]
        question: Question = {
            "model": model,
            "max_tokens": LIMIT,
            "messages": [{"role": "user", "content": content}],
        }
        if asked.system:
            question["system"] = asked.system
        if asked.tools:
            question["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": tool.schema}
                for tool in asked.tools
            ]
        if asked.thinks:
            question["thinking"] = {"type": "enabled", "budget_tokens": 2048}
        if asked.stop:
            question["stop_sequences"] = list(asked.stop)
        return question

    def follow_up(self, question: Question, message: Any, results: Sequence[Result]) -> Question:
        brought = [
            {
                "type": "tool_result",
                "tool_use_id": result.call_id,
                "content": result.text,
                **({"is_error": True} if result.failed else {}),
            }
            for result in results
        ]
        turns = [
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": brought},
        ]
        return {**question, "messages": [*question["messages"], *turns]}

    def create(self, question: Question) -> Got:
        raw = self.sdk.messages.with_raw_response.create(**question)
        return Got(message=valid(raw.parse()), headers=raw.headers)

    def helper(self, question: Question) -> Got:
        with self.sdk.messages.stream(**question) as stream:
            message = stream.get_final_message()
            return Got(message=message, headers=stream.response.headers)

    def raw(self, question: Question) -> Got:
        names, texts = list[str](), list[str]()
        with self.sdk.messages.create(**question, stream=True) as stream:
            for event in stream:
                names.append(_kind(valid(event)))
                if event.type == "content_block_delta" and event.delta.type == "text_delta":
                    texts.append(event.delta.text)
            headers = stream.response.headers
        return Got(message="".join(texts), headers=headers, events=runs(names))

    def read(self, message: Message) -> Said:
        assert (message.role, message.type) == ("assistant", "message")
        blocks = message.content
        end = _ENDS[message.stop_reason]
        assert (message.stop_sequence is not None) == (end == "stop_sequence")
        return Said(
            text="".join(block.text for block in blocks if block.type == "text"),
            thoughts="".join(block.thinking for block in blocks if block.type == "thinking"),
            hidden=sum(block.type == "redacted_thinking" for block in blocks),
            calls=tuple(
                Call(id=block.id, name=block.name, arguments=block.input)
                for block in blocks
                if block.type == "tool_use"
            ),
            end=end,
            tokens=_tokens(message),
        )

    def settled(self, message: Message) -> Any:
        plain = message.model_dump(exclude_none=True)
        assert plain.pop("id").startswith("msg_")
        for block in plain["content"]:
            block.pop("parsed_output", None)
        # The helper takes these from `message_start`, where a translated stream can't know them.
        for name in ("cache_creation", "service_tier"):
            plain["usage"].pop(name, None)
        return plain

    def sequence(
        self, said: Said, *, signed: bool = False, at_once: bool = False
    ) -> tuple[str, ...]:
        del at_once  # Its blocks come one after another.
        names = ["message_start"]
        if said.thoughts:
            signature = ["signature_delta"] if signed else []
            names += ["start:thinking", "thinking_delta", *signature, "stop"]
        names += ["start:redacted_thinking", "stop"] * said.hidden
        if said.text or said.refusal:
            names += ["start:text", "text_delta", "stop"]
        for _call in said.calls:
            names += ["start:tool_use", "input_json_delta", "stop"]
        return (*names, "message_delta", "message_stop")


def _source(picture: Picture) -> dict[str, str]:
    if picture.url:
        return {"type": "url", "url": picture.url}
    return {"type": "base64", "media_type": picture.media_type, "data": picture.data}


def _tokens(message: Message) -> Tokens:
    usage = message.usage
    details = usage.output_tokens_details
    reasoning = details.thinking_tokens if details else 0
    return Tokens(
        plain=usage.input_tokens,
        cached=usage.cache_read_input_tokens or 0,
        written=usage.cache_creation_input_tokens or 0,
        visible=usage.output_tokens - reasoning,
        reasoning=reasoning,
    )


def _kind(event: Any) -> str:
    if event.type == "content_block_start":
        return f"start:{event.content_block.type}"
    if event.type == "content_block_delta":
        return str(event.delta.type)
    return "stop" if event.type == "content_block_stop" else str(event.type)
