"""What of a legacy completion bears on its cost: see `torana.dialects.openai_chat.costs`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from torana.dialects.costs import BAD, CallCosts, Found, PromptTexts
from torana.dialects.openai_chat.rules import Rule
from torana.dialects.wire import ABSENT, WireRequest

FIELDS: Mapping[str, Rule] = MappingProxyType(
    {
        "model": Rule.FREE,
        # The numbers of tokens are more bytes than tokens.
        "prompt": Rule.PROMPT,
        # Every candidate is billed, whether it is shown or not.
        "best_of": Rule.LIMIT,
        # The prompt is shown again; nobody writes it, so nobody bills it.
        "echo": Rule.FREE,
        "frequency_penalty": Rule.FREE,
        "logit_bias": Rule.FREE,
        "logprobs": Rule.FREE,
        "max_tokens": Rule.LIMIT,
        "n": Rule.LIMIT,
        "presence_penalty": Rule.FREE,
        "seed": Rule.FREE,
        "stop": Rule.FREE,
        "stream": Rule.FREE,
        "stream_options": Rule.FREE,
        "suffix": Rule.PROMPT,
        "temperature": Rule.FREE,
        "top_p": Rule.FREE,
        "user": Rule.FREE,
    }
)
"""Every field of the openai SDK's `CompletionCreateParams`."""

EXTENSIONS: Mapping[str, Rule] = MappingProxyType(
    {"top_k": Rule.FREE, "min_p": Rule.FREE, "repetition_penalty": Rule.FREE}
)
"""Fields of look-alikes of OpenAI's API."""

RULES: Mapping[str, Rule] = {**FIELDS, **EXTENSIONS}


def read_costs(request: WireRequest) -> CallCosts:
    """Read what a request may cost; never fails, what can't be read has no rule."""
    found = Found()
    for name, raw in request.fields.items():
        rule = RULES.get(name, Rule.NONE)
        if rule in {Rule.FREE, Rule.LIMIT} or (len(raw) == 4 and bytes(raw) == b"null"):
            continue
        if rule is Rule.NONE:
            found.no_rule(name)
        found.text_bytes += len(raw)
    return found.costs(choices=request.choices, max_output=request.max_output or None)


_prompt_decoder = msgspec.json.Decoder(str | list[msgspec.Raw])


def prompt_texts(request: WireRequest, costs: CallCosts) -> PromptTexts:
    """The texts of a prompt, for exact counting; tokens that are given as numbers by their bytes.

    Args:
        request: the call.
        costs: what `read_costs` says of it.
    """
    raw = request.fields.get("prompt", ABSENT)
    texts: list[str] = []
    counted = 0
    try:
        prompt = _prompt_decoder.decode(raw)
    except BAD:
        prompt = []
    for item in [raw] if isinstance(prompt, str) else prompt:
        try:
            texts.append(msgspec.json.decode(item, type=str))
        except BAD:
            continue
        counted += len(item)
    return PromptTexts(
        texts=tuple(texts),
        messages=0,
        other_bytes=costs.text_bytes - counted,
        all_bytes=costs.text_bytes,
    )
