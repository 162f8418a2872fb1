"""The openai SDK's responses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import openai
from openai.types.responses import Response

from tests.conformance.callers.base import SECONDS, Caller, Got, Question, runs, valid
from tests.conformance.callers.chat import url_of
from tests.conformance.said import Asked, Call, End, Result, Said, Tokens

_NUMBERED = ("output_index", "content_index", "summary_index")


class ResponsesCaller(Caller):
    """Asks `/v1/responses`."""

    name = "responses"
    failures = (openai.APIError,)

    def __init__(self, url: str, key: str) -> None:
        self.sdk = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=SECONDS)

    def close(self) -> None:
        self.sdk.close()

    def question(self, asked: Asked, model: str) -> Question:
        content: Any = asked.text
        if asked.pictures:
            content = [{"type": "input_text", "text": asked.text}]
            content += [
                {"type": "input_image", "image_url": url_of(picture), "detail": "auto"}
                for picture in asked.pictures
            ]
        question: Question = {
            "model": model,
            "input": [{"role": "user", "content": content}],
            "store": False,
        }
        if asked.system:
            question["instructions"] = asked.system
        if asked.tools:
            question["tools"] = [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.schema,
                    "strict": False,
                }
                for tool in asked.tools
            ]
        if asked.thinks:
            question["reasoning"] = {"effort": "medium", "summary": "auto"}
            question["include"] = ["reasoning.encrypted_content"]
        return question

    def follow_up(self, question: Question, message: Any, results: Sequence[Result]) -> Question:
        brought = [
            {"type": "function_call_output", "call_id": result.call_id, "output": result.text}
            for result in results
        ]
        return {**question, "input": [*question["input"], *message.output, *brought]}

    def create(self, question: Question) -> Got:
        raw = self.sdk.responses.with_raw_response.create(**question)
        return Got(message=valid(raw.parse()), headers=raw.headers)

    def helper(self, question: Question) -> Got:
        last: Any = None
        with self.sdk.responses.stream(**question) as stream:
            for event in stream:
                last = event
            headers = stream._response.headers
            if last.type == "error":
                raise openai.APIError(
                    last.message, request=stream._response.request, body=last.to_dict()
                )
            if last.type == "response.incomplete":  # The helper knows no final response then.
                return Got(message=last.response, headers=headers)
            return Got(message=stream.get_final_response(), headers=headers)

    def raw(self, question: Question) -> Got:
        names, texts = list[str](), list[str]()
        with self.sdk.responses.create(**question, stream=True) as stream:
            for number, event in enumerate(stream):
                # A gap in the numbers would mean a lost event.
                assert event.sequence_number == number
                names.append(_kind(valid(event)))
                if event.type == "response.output_text.delta":
                    texts.append(event.delta)
                if event.type == "error":
                    raise openai.APIError(
                        event.message, request=stream.response.request, body=event.to_dict()
                    )
            headers = stream.response.headers
        return Got(message="".join(texts), headers=headers, events=runs(names))

    def read(self, message: Response) -> Said:
        thoughts, text, refusal = list[str](), list[str](), list[str]()
        calls, hidden = list[Call](), 0
        for item in message.output:
            if item.type == "reasoning":
                thoughts += [part.text for part in item.summary]
                hidden += not item.summary
            elif item.type == "function_call":
                arguments = json.loads(item.arguments)
                calls.append(Call(id=item.call_id, name=item.name, arguments=arguments))
            else:
                assert item.type == "message"
                for part in item.content:
                    if part.type == "refusal":
                        refusal.append(part.refusal)
                    else:
                        text.append(part.text)
        return Said(
            text="".join(text),
            thoughts="".join(thoughts),
            hidden=hidden,
            refusal="".join(refusal),
            calls=tuple(calls),
            end=_end(message, refused=bool(refusal), called=bool(calls)),
            tokens=_tokens(message),
        )

    def settled(self, message: Response) -> Any:
        plain = message.model_dump(exclude_none=True)
        assert plain.pop("id").startswith("resp_")
        plain.pop("created_at")
        plain.pop("completed_at", None)
        for item in plain["output"]:
            item.pop("id", None)
            item.pop("parsed_arguments", None)
            if item["type"] == "function_call":
                # The text is the model's in a stream; Anthropic's JSON has an object.
                item["arguments"] = json.loads(item["arguments"])
            for part in item.get("content", ()):
                part.pop("parsed", None)
        return plain

    def sequence(
        self, said: Said, *, signed: bool = False, at_once: bool = False
    ) -> tuple[str, ...]:
        del signed
        names = ["created", "in_progress"]
        if said.thoughts:
            summary = "reasoning_summary"
            names += ["added:reasoning", f"{summary}_part.added", f"{summary}_text.delta"]
            names += [f"{summary}_text.done", f"{summary}_part.done", "done:reasoning"]
        names += ["added:reasoning", "done:reasoning"] * said.hidden
        if said.text or said.refusal:
            names.append("added:message")
            for field in ["output_text"] * bool(said.text) + ["refusal"] * bool(said.refusal):
                names += ["content_part.added", f"{field}.delta", f"{field}.done"]
                names.append("content_part.done")
            names.append("done:message")
        grown = ["added:function_call", "function_call_arguments.delta"]
        done = ["function_call_arguments.done", "done:function_call"]
        if at_once:
            names += grown + done * len(said.calls)
        else:
            names += (grown + done) * len(said.calls)
        filtered = said.end == "refusal" and not said.refusal
        return (*names, "incomplete" if said.end == "length" or filtered else "completed")


def _end(message: Response, *, refused: bool, called: bool) -> End:
    assert message.object == "response"
    if message.status == "incomplete":
        assert message.incomplete_details is not None
        reason = message.incomplete_details.reason
        return "refusal" if reason == "content_filter" else "length"
    assert message.status == "completed"
    assert message.error is None
    assert message.incomplete_details is None
    if refused:
        return "refusal"
    return "tools" if called else "stop"


def _tokens(message: Response) -> Tokens | None:
    usage = message.usage
    if usage is None:
        return None
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    cached = usage.input_tokens_details.cached_tokens
    written = usage.input_tokens_details.cache_write_tokens
    reasoning = usage.output_tokens_details.reasoning_tokens
    return Tokens(
        plain=usage.input_tokens - cached - written,
        cached=cached,
        written=written,
        visible=usage.output_tokens - reasoning,
        reasoning=reasoning,
    )


def _kind(event: Any) -> str:
    if event.type == "response.output_item.added":
        return f"added:{event.item.type}"
    if event.type == "response.output_item.done":
        return f"done:{event.item.type}"
    for name in _NUMBERED:
        assert getattr(event, name, 0) is not None
    return str(event.type).removeprefix("response.")
