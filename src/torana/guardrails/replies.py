"""Whole replies, as guardrails let them pass."""

from __future__ import annotations

import msgspec

from torana.core.chat import ChatReply, Part, Refusal, Text, Thinking, ToolCall
from torana.guardrails.calls import rewrite_citation
from torana.guardrails.filters import Chain
from torana.guardrails.guarded import GuardedCalls
from torana.guardrails.json_strings import JsonStringsFilter

LOST_SIGNATURE = "thinking.signature"
"""The loss when thinking was changed: its signature is not true any more."""


def guard_reply(guards: GuardedCalls, reply: ChatReply) -> ChatReply:
    """A reply as its guardrails let it pass, for the caller.

    Raises:
        GuardrailBlocked: one does not let it pass.
        InternalError: one is broken.
    """
    if guards.filter() is None:
        return reply
    parts = tuple([_part(guards, part) for part in reply.parts])
    unsigned = any(
        isinstance(was, Thinking) and isinstance(now, Thinking) and was.signature != now.signature
        for was, now in zip(reply.parts, parts, strict=True)
    )
    lost = (*reply.lost, LOST_SIGNATURE) if unsigned else reply.lost
    return msgspec.structs.replace(reply, parts=parts, lost=tuple(dict.fromkeys(lost)))


def guard_text(guards: GuardedCalls, text: str) -> str:
    """One whole text of an answer as it passes.

    Raises:
        GuardrailBlocked, InternalError: as `guard_reply`.
    """
    chain = guards.filter()
    return text if chain is None else chain.whole(text)


def arguments_filter(guards: GuardedCalls) -> JsonStringsFilter:
    """What the arguments of a tool call pass through: each of their strings is a text."""
    return JsonStringsFilter(lambda: guards.filter() or Chain(()))


def _part(guards: GuardedCalls, part: Part) -> Part:
    if isinstance(part, Text):
        better = guard_text(guards, part.text)
        citations = [
            rewrite_citation(each, lambda text: guard_text(guards, text), moved=better != part.text)
            for each in part.citations
        ]
        return msgspec.structs.replace(part, text=better, citations=tuple(citations))
    if isinstance(part, Refusal):
        return Refusal(guard_text(guards, part.text))
    if isinstance(part, Thinking):
        return _thinking(guards, part)
    if isinstance(part, ToolCall):
        if part.custom:
            return msgspec.structs.replace(part, arguments=guard_text(guards, part.arguments))
        strings = arguments_filter(guards)
        arguments = strings.feed(part.arguments)
        return msgspec.structs.replace(part, arguments=arguments + strings.end())
    return part


def _thinking(guards: GuardedCalls, part: Thinking) -> Thinking:
    chain = guards.filter(restores=False)
    if chain is None:
        return part
    better = chain.whole(part.text)
    if better == part.text:
        return part
    return Thinking(better, id=part.id)
