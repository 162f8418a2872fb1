"""A canonical call as a request to an Anthropic model."""

from __future__ import annotations

from typing import Any

import msgspec

from torana.core.chat import ChatCall, OutputFormat
from torana.dialects import wire
from torana.dialects.anthropic.blocks import cache_control, text_block
from torana.dialects.anthropic.offers import write_tools
from torana.dialects.anthropic.schemas import held
from torana.dialects.anthropic.thinking import write_sampling, write_thinking
from torana.dialects.anthropic.turns import content_of, write_turns
from torana.dialects.base import Traits, Written
from torana.dialects.losses import Losses
from torana.dialects.wire import WireRequest
from torana.errors import InvalidRequest

DEFAULT_MAX_TOKENS = 4_096
"""Anthropic demands a limit; this is it where neither the caller nor the catalogue has one."""

_TIERS = {"auto": "auto", "standard_only": "standard_only", "default": "standard_only"}


def write_call(call: ChatCall, traits: Traits) -> Written:
    """A request; the model's name is the caller's still.

    Raises:
        InvalidRequest: it asks for several answers, for a tool with an odd name, or says nothing.
    """
    if call.choices != 1:
        raise InvalidRequest("This model gives one answer at a time.", param="n")
    lost = Losses()
    system, turns = write_turns(call.messages, lost, system_messages=traits.system_messages)
    if not turns:
        raise InvalidRequest("'messages' say nothing that this model takes.", param="messages")
    max_tokens = _max_tokens(call, traits)
    lost.add_if("max_tokens", max_tokens < (call.max_output or 0))
    fields: dict[str, Any] = {"model": call.model, "max_tokens": max_tokens}
    schema = _held_schema(call.format, traits)
    instruction = None if schema is not None else _instruction(call.format)
    if instruction is not None:
        system.append(text_block(instruction))
    if system:
        fields["system"] = content_of(system)
    fields["messages"] = [turn.written() for turn in turns]
    fields |= write_tools(call, traits, turns, lost)
    thinking, effort = write_thinking(call, traits, turns, max_tokens, lost)
    if thinking is not None:
        fields["thinking"] = thinking
    thinks = thinking is not None and thinking["type"] != "disabled"
    fields |= write_sampling(call, lost, thinks=thinks)
    fields |= _output_config(schema, effort)
    lost.add_if("response_format.description", schema and call.format and call.format.description)
    fields |= _rest(call, lost)
    _note_unsayable(call, lost)
    request = WireRequest(
        model=call.model,
        stream=call.stream,
        include_usage=True,
        max_output=max_tokens,
        choices=1,
        size=0,
        fields={name: wire.raw(value) for name, value in fields.items()},
    )
    size = sum(len(name) + len(raw) + 4 for name, raw in request.fields.items()) + 1
    return Written(
        request=msgspec.structs.replace(request, size=size),
        lost=lost.names,
        instructed=instruction is not None,
    )


def _max_tokens(call: ChatCall, traits: Traits) -> int:
    """The caller's limit is never raised; above what the model can write it would be refused."""
    if call.max_output is None:
        return traits.max_output or DEFAULT_MAX_TOKENS
    return min(call.max_output, traits.max_output or call.max_output)


def _held_schema(form: OutputFormat | None, traits: Traits) -> dict[str, Any] | None:
    """The schema that the model can be held to."""
    if form is None or form.schema is None or not traits.structured_output:
        return None
    return held(form.schema)


def _instruction(form: OutputFormat | None) -> str | None:
    """What tells the model the form of its answer, where it can't be held to it."""
    if form is None:
        return None
    told = "Answer with one JSON object and nothing else: no words around it, no code fence."
    if form.schema is None:
        return told
    described = f"\n\n{form.description}" if form.description else ""
    schema = msgspec.json.encode(form.schema).decode()
    return (
        "Answer with JSON and nothing else: no words around it, no code fence. "
        f"It must be valid against this JSON schema:{described}\n\n{schema}"
    )


def _output_config(schema: dict[str, Any] | None, effort: str | None) -> dict[str, Any]:
    config: dict[str, Any] = {} if effort is None else {"effort": effort}
    if schema is not None:
        config["format"] = {"type": "json_schema", "schema": schema}
    return {"output_config": config} if config else {}


def _rest(call: ChatCall, lost: Losses) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    stop = [text for text in call.stop if text.strip()]
    lost.add_if("stop", len(stop) < len(call.stop))
    if stop:
        fields["stop_sequences"] = stop
    if call.end_user is not None:
        fields["metadata"] = {"user_id": call.end_user}
    if call.service_tier is not None:
        if call.service_tier in _TIERS:
            fields["service_tier"] = _TIERS[call.service_tier]
        else:
            lost.add("service_tier")
    if call.stream:
        fields["stream"] = True
    return fields | cache_control(call.cache)


def _note_unsayable(call: ChatCall, lost: Losses) -> None:
    lost.add_if("frequency_penalty", call.frequency_penalty)
    lost.add_if("presence_penalty", call.presence_penalty)
    lost.add_if("seed", call.seed is not None)
    lost.add_if("logit_bias", call.logit_bias)
    lost.add_if("logprobs", call.top_logprobs is not None)
    lost.add_if("verbosity", call.verbosity not in {None, "medium"})
    lost.add_if("prompt_cache_key", call.cache_key)
    lost.add_if("metadata", call.metadata)
