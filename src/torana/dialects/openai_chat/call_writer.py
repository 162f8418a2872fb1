"""A canonical call written as a chat request, for any server that speaks OpenAI's dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from torana.core.chat import ChatCall, Message, OutputFormat, Text
from torana.dialects import wire
from torana.dialects.base import Traits, Written
from torana.dialects.losses import Losses
from torana.dialects.openai_chat.call_reader import encodable
from torana.dialects.openai_chat.efforts import effort_of
from torana.dialects.openai_chat.message_writer import write_messages
from torana.dialects.openai_chat.tools import write_choice, write_tools
from torana.dialects.wire import WireRequest
from torana.errors import InvalidRequest

LOST: Mapping[str, str] = MappingProxyType(
    {
        "cache_control": "OpenAI caches by itself; other servers refuse the field.",
        "citations": "No request asks for citations, and no message of the history holds them.",
        "document_context": "A file has no description beside it.",
        "document_title": "A file that OpenAI keeps, or a plain text, has no title.",
        "document_url": "A file has data or an id, and no address.",
        "file_id": "The file lies with another vendor, or is an image.",
        "is_error": "The result of a tool is text only; the text is sent.",
        "messages[].content[]": "The role can't hold such a part.",
        "part_order": "A message is thinking, text, refusal and calls, in this order.",
        "reasoning.summary": "A chat shows no summaries.",
        "service_tier": "OpenAI has no such tier.",
        "stop": "At most four texts; the first four are sent.",
        "thinking": "It is not sent to chat servers, which sign none.",
        "thinking.budget_tokens": "An effort is sent in place of a number of tokens.",
        "tool_result_images": "A result is text; what it showed follows in a user's message.",
        "top_k": "It is not OpenAI's.",
    }
)
"""Every name that the writer of calls can report, and why."""

MAX_STOPS = 4
DEFAULT_FORMAT_NAME = "answer"
"""OpenAI wants a name for every schema; it reads it as it reads a tool's."""
_TIERS = {
    "auto": "auto",
    "default": "default",
    "standard_only": "default",
    "flex": "flex",
    "priority": "priority",
    "scale": "scale",
    "fast": "fast",
}


def write_call(call: ChatCall, traits: Traits) -> Written:
    """A chat request that asks for the same.

    The limit on output is not among the fields: its name differs between servers, and
    `encode_upstream` knows it. A model that can't be held to a schema is told it in words.

    Raises:
        InvalidRequest: several choices are asked for, and a reply is one.
    """
    if call.choices != 1:
        raise InvalidRequest("Only one choice can be had from this model.", param="n")
    lost = Losses()
    form, messages, instructed = call.format, call.messages, False
    if form is not None and form.schema is not None and not traits.structured_output:
        messages = _instructed(messages, form)
        form, instructed = None, True
    fields: dict[str, Any] = {
        "model": wire.raw(call.model),
        "messages": encodable(write_messages(messages, lost), "messages"),
    }
    if call.stream:
        fields["stream"] = True
        fields["stream_options"] = {"include_usage": True}
    if call.tools:
        fields["tools"] = encodable(write_tools(call.tools, lost), "tools")
    if call.tool_choice is not None:
        fields["tool_choice"] = write_choice(call.tool_choice, call.tools)
    if form is not None:
        fields["response_format"] = encodable(_write_format(form), "response_format")
    fields |= {name: value for name, value in _plain(call, lost).items() if value is not None}
    raws = {
        name: value if isinstance(value, msgspec.Raw) else encodable(value, name)
        for name, value in fields.items()
    }
    request = WireRequest(
        model=call.model,
        stream=call.stream,
        include_usage=True,
        max_output=call.max_output,
        choices=1,
        size=sum(len(raw) for raw in raws.values()),
        fields=raws,
    )
    return Written(request=request, lost=lost.names, instructed=instructed)


def _plain(call: ChatCall, lost: Losses) -> dict[str, Any]:
    """The fields that are a value each."""
    if call.top_k is not None:
        lost.add("top_k")
    if call.cache is not None:
        lost.add("cache_control")
    if len(call.stop) > MAX_STOPS:
        lost.add("stop")
    tier = None if call.service_tier is None else _TIERS.get(call.service_tier)
    if tier is None and call.service_tier is not None:
        lost.add("service_tier")
    return {
        "parallel_tool_calls": call.parallel_tools if call.tools else None,
        "temperature": call.temperature,
        "top_p": call.top_p,
        "frequency_penalty": call.frequency_penalty,
        "presence_penalty": call.presence_penalty,
        "seed": call.seed,
        "stop": list(call.stop[:MAX_STOPS]) or None,
        "logprobs": None if call.top_logprobs is None else True,
        "top_logprobs": call.top_logprobs or None,
        "logit_bias": call.logit_bias or None,
        "reasoning_effort": None if call.reasoning is None else effort_of(call.reasoning, lost),
        # Every server knows `user`; `safety_identifier` is OpenAI's alone.
        "user": call.end_user,
        "metadata": call.metadata or None,
        "service_tier": tier,
        "prompt_cache_key": call.cache_key,
        "verbosity": call.verbosity,
    }


def _instructed(messages: Sequence[Message], form: OutputFormat) -> tuple[Message, ...]:
    """Messages that tell the form of the answer: many models heed one first instruction only."""
    described = f"\n\n{form.description}" if form.description else ""
    wanted = (
        "Answer with JSON and nothing else: no words around it, no code fence. It must be valid "
        f"against this JSON schema:{described}\n\n"
        + bytes(encodable(form.schema, "response_format")).decode()
    )
    first, last = messages[0], messages[0].parts[-1]
    if first.role in {"system", "developer"} and isinstance(last, Text):
        told = msgspec.structs.replace(last, text=f"{last.text}\n\n{wanted}")
        head = msgspec.structs.replace(first, parts=(*first.parts[:-1], told))
        return (head, *messages[1:])
    return (Message("system", (Text(wanted),)), *messages)


def _write_format(form: OutputFormat) -> dict[str, Any]:
    if form.schema is None:
        return {"type": "json_object"}
    inner: dict[str, Any] = {"name": form.name or DEFAULT_FORMAT_NAME}
    if form.description is not None:
        inner["description"] = form.description
    inner["schema"] = form.schema
    if form.strict is not None:
        inner["strict"] = form.strict
    return {"type": "json_schema", "json_schema": inner}
