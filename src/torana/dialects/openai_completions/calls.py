"""A legacy completion as a conversation of one message, and the other way round."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torana.core.chat import ChatCall, Message, Text
from torana.dialects import wire
from torana.dialects.base import Traits, Written
from torana.dialects.losses import Losses
from torana.dialects.openai_chat.call_reader import (
    encodable,
    given_fields,
    read_bias,
    read_stop,
)
from torana.dialects.openai_chat.call_writer import MAX_STOPS
from torana.dialects.openai_chat.given import (
    a_flag_or_none,
    a_number_or_none,
    a_text_or_none,
    a_whole_or_none,
)
from torana.dialects.openai_completions.costs import FIELDS
from torana.dialects.openai_completions.requests import LIMIT_FIELD, read_prompts
from torana.dialects.wire import WireRequest
from torana.errors import InvalidRequest

LOST: Mapping[str, str] = MappingProxyType(
    {
        "cache_control": "A prompt is a text.",
        "citations": "A prompt is a text.",
        "logprobs": "Probabilities have no place in a reply.",
        "messages[].name": "Nobody speaks in a prompt.",
        "metadata": "There is no such field.",
        "parallel_tool_calls": "There are no tools.",
        "prompt_cache_key": "There is no such field.",
        "reasoning": "The models of this API do not think.",
        "response_format": "The models of this API can't be held to a form.",
        "service_tier": "There is no such field.",
        "stop": "At most four texts; the first four are sent.",
        "tool_choice": "There are no tools.",
        "top_k": "It is not OpenAI's.",
        "verbosity": "There is no such field.",
    }
)
"""Every name that the writer of calls can report, and why."""
UNSAID: Mapping[str, str] = MappingProxyType({"...": "Any field that is not OpenAI's."})
"""Every name that the reader of calls can report, and why; `...` stands for what was sent."""
_READ = frozenset({*FIELDS, "top_k"})
_DEFAULTS: dict[str, Any] = {"repetition_penalty": 1, "min_p": 0}


def read_call(request: WireRequest) -> ChatCall:
    """A caller's request as a conversation of one message.

    Raises:
        InvalidRequest: it is malformed, or asks for what only a server of this very API can do.
    """
    given = given_fields(request)
    unsaid = Losses()
    for name, value in given.items():
        if name not in _READ and not (name in _DEFAULTS and value == _DEFAULTS[name]):
            unsaid.add(name)
    return ChatCall(
        model=request.model,
        messages=(Message("user", (Text(_only_prompt(request, given)),)),),
        max_output=request.max_output or None,
        choices=request.choices,
        temperature=a_number_or_none(given.get("temperature"), "temperature"),
        top_p=a_number_or_none(given.get("top_p"), "top_p"),
        top_k=a_whole_or_none(given.get("top_k"), "top_k"),
        frequency_penalty=a_number_or_none(given.get("frequency_penalty"), "frequency_penalty"),
        presence_penalty=a_number_or_none(given.get("presence_penalty"), "presence_penalty"),
        seed=a_whole_or_none(given.get("seed"), "seed"),
        stop=read_stop(given.get("stop")),
        logit_bias=read_bias(given.get("logit_bias")),
        end_user=a_text_or_none(given.get("user"), "user") or None,
        stream=request.stream,
        include_usage=request.include_usage,
        unsaid=unsaid.names,
    )


def _only_prompt(request: WireRequest, given: dict[str, Any]) -> str:
    """The prompt of a call that any model can answer."""
    prompts = read_prompts(request.fields)
    if "prompt" not in given:
        raise wire.missing("prompt")
    if len(prompts) != 1 or not isinstance(prompts[0], str):
        raise _refused("prompt", "takes one prompt, as a text")
    if a_text_or_none(given.get("suffix"), "suffix"):
        raise _refused("suffix", "writes nothing in between")
    if a_flag_or_none(given.get("echo"), "echo"):
        raise _refused("echo", "repeats no prompt")
    if (given.get("best_of") or 1) > 1:
        raise _refused("best_of", "gives its first answer")
    if given.get("logprobs") is not None:
        raise _refused("logprobs", "tells no probabilities")
    return prompts[0]


def _refused(param: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"This model {why}: '{param}' can't be honoured.", param=param)


def write_call(call: ChatCall, traits: Traits) -> Written:
    """A completion that asks for the same; only the plainest of calls can be one.

    Raises:
        InvalidRequest: there is more than one message of the user's, or more than text.
    """
    del traits  # What a server can't do it says itself.
    if call.choices != 1:
        raise InvalidRequest("Only one choice can be had from this model.", param="n")
    if call.tools:
        raise InvalidRequest("This model takes a single prompt, and no tools.", param="tools")
    lost = Losses()
    fields: dict[str, Any] = {"model": call.model, "prompt": _prompt(call, lost)}
    if call.stream:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    for name in _losses(call):
        lost.add(name)
    values: dict[str, Any] = {
        LIMIT_FIELD: call.max_output,
        "temperature": call.temperature,
        "top_p": call.top_p,
        "frequency_penalty": call.frequency_penalty,
        "presence_penalty": call.presence_penalty,
        "seed": call.seed,
        "stop": list(call.stop[:MAX_STOPS]) or None,
        "logit_bias": call.logit_bias or None,
        "user": call.end_user,
    }
    fields |= {name: value for name, value in values.items() if value is not None}
    raws = {name: encodable(value, name) for name, value in fields.items()}
    request = WireRequest(
        model=call.model,
        stream=call.stream,
        include_usage=True,
        max_output=call.max_output,
        choices=1,
        size=sum(len(raw) for raw in raws.values()),
        fields=raws,
    )
    return Written(request=request, lost=lost.names)


def _prompt(call: ChatCall, lost: Losses) -> str:
    message = call.messages[0] if len(call.messages) == 1 else None
    texts = [part for part in message.parts if isinstance(part, Text)] if message else []
    if message is None or message.role != "user" or len(texts) != len(message.parts):
        raise InvalidRequest(
            "This model takes a single prompt: one message of the user's that is nothing but text.",
            param="messages",
        )
    if message.name is not None:
        lost.add("messages[].name")
    if any(text.cache is not None for text in texts):
        lost.add("cache_control")
    if any(text.citations for text in texts):
        lost.add("citations")
    return "".join(text.text for text in texts)


def _losses(call: ChatCall) -> list[str]:
    said: dict[str, Any] = {
        "cache_control": call.cache,
        "logprobs": call.top_logprobs,
        "metadata": call.metadata or None,
        "parallel_tool_calls": call.parallel_tools,
        "prompt_cache_key": call.cache_key,
        "reasoning": call.reasoning,
        "response_format": call.format,
        "service_tier": call.service_tier,
        "stop": call.stop[MAX_STOPS:] or None,
        "tool_choice": call.tool_choice,
        "top_k": call.top_k,
        "verbosity": call.verbosity,
    }
    return [name for name, value in said.items() if value is not None]
