"""Which dialect a call goes to its provider in: the caller's own, or the one that loses least."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from torana.core.chat import ChatCall, HiddenThinking, Thinking
from torana.dialects.base import ChatDialect, Dialect, Traits, Written, lost_of
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.openai_chat.thoughtless import without_thinking
from torana.dialects.openai_completions import OPENAI_COMPLETIONS
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.dialects.wire import WireRequest, readable
from torana.errors import InvalidRequest, TranslationLoss
from torana.guardrails.guarded import GuardedCalls
from torana.routing.catalog import Target
from torana.routing.traits import abilities_of


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """How a call goes to its provider.

    Attributes:
        caller: the caller's dialect.
        asked: the request in it.
        dialect: the provider's.
        request: the request in that.
        call: the request as a value, where it was translated.
        lost: what of it could not be said.
        instructed: see `Written.instructed`.
        dropped: names of fields that the provider's server does not get; they are in `lost` too.
        guards: that have seen the prompt, and shall see the answer.
    """

    caller: Dialect
    asked: WireRequest
    dialect: Dialect
    request: WireRequest
    call: ChatCall | None = None
    lost: tuple[str, ...] = ()
    instructed: bool = False
    dropped: tuple[str, ...] = ()
    guards: GuardedCalls | None = None

    @property
    def schema(self) -> dict[str, object] | None:
        """The schema that the answer is to be checked against, if it is."""
        if not self.instructed or self.call is None or self.call.format is None:
            return None
        return self.call.format.schema or {"type": "object"}


def wire_of(
    caller: Dialect,
    request: WireRequest,
    *,
    speaks: Sequence[Dialect],
    target: Target,
    takes_thinking: bool = True,
    continued: bool = False,
    strict: bool = False,
    call: ChatCall | None = None,
) -> Wire:
    """How a call goes to a target.

    Args:
        caller: the caller's dialect.
        request: in it.
        speaks: the provider's dialects.
        target: who shall answer.
        takes_thinking: the provider's chat takes a history with thinking in it.
        continued: the request goes on from a conversation that Torana keeps, in which other
            vendors' marks may stand; it is never passed on unread.
        strict: a loss is an error.
        call: the request as a value, where it must not be passed on unread: its guardrails have
            seen this.

    Raises:
        InvalidRequest: the request is malformed, or the target can't serve its route.
        TranslationLoss: something would be lost, and the caller does not want that.
    """
    if caller in speaks and not continued and call is None:
        own, lost = caller.own(request)
        if caller is OPENAI_CHAT and not takes_thinking:
            own, lost = without_thinking(own)
        if strict and lost:
            raise TranslationLoss(lost)
        return Wire(caller=caller, asked=request, dialect=caller, request=own, lost=lost)
    targets = [
        dialect
        for dialect in speaks
        if isinstance(dialect, ChatDialect) and dialect is not OPENAI_COMPLETIONS
    ]
    if not isinstance(caller, ChatDialect) or not targets:
        raise InvalidRequest(
            f"The model {request.model[:100]!r} can't be called by this route.",
            hint="Its provider does not offer it.",
            param="model",
        )
    if call is None:
        call = caller.read_call(readable(request))
    else:
        targets.sort(key=lambda dialect: dialect is not caller)
    dialect, written = _least_loss(call, targets, _traits(target))
    lost = lost_of(*call.unsaid, *written.lost)
    if strict and lost:
        raise TranslationLoss(lost)
    return Wire(
        caller=caller,
        asked=request,
        dialect=dialect,
        request=written.request,
        call=call,
        lost=lost,
        instructed=written.instructed,
    )


def _least_loss(
    call: ChatCall, targets: Sequence[ChatDialect], traits: Traits
) -> tuple[ChatDialect, Written]:
    """The dialect in which least is lost; of two equals the first, or the one that can reason."""
    if _reasons(call):
        # Only there do a model's thoughts come back to it in the next turn.
        targets = sorted(targets, key=lambda dialect: dialect is not OPENAI_RESPONSES)
    best: tuple[ChatDialect, Written] | None = None
    for dialect in targets:
        written = dialect.write_call(call, traits)
        if best is None or len(written.lost) < len(best[1].lost):
            best = dialect, written
        if not written.lost:
            break
    if best is None:
        message = "there is no dialect to write a call in"
        raise ValueError(message)
    return best


def _reasons(call: ChatCall) -> bool:
    return call.reasoning is not None or any(
        isinstance(part, (Thinking, HiddenThinking))
        for message in call.messages
        for part in message.parts
    )


def _traits(target: Target) -> Traits:
    abilities = abilities_of(target.model)
    return Traits(
        max_output=target.max_output,
        reasons=abilities.reasons,
        structured_output=abilities.schemas,
        adaptive_thinking=abilities.adaptive_thinking,
    )
