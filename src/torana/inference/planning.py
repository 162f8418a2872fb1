"""From a request to what is asked of the ledger: the target, the record, the bound."""

from __future__ import annotations

import msgspec

from torana.core.usage import Usage
from torana.dialects.base import Dialect
from torana.dialects.costs import CallCosts
from torana.dialects.wire import WireRequest
from torana.inference.caller import CallContext
from torana.inference.wires import Wire
from torana.ledger.bounds import Bound, call_bound, priced
from torana.ledger.records import Ask, CallRecord, Claim, Further, Receipt
from torana.routing.catalog import Target
from torana.tokenizer import chat_input_tokens, known, visible_output_tokens


def record_of(
    dialect: Dialect, request: WireRequest, context: CallContext, target: Target
) -> CallRecord:
    """Who calls what: the part of a ledger entry that is known when a call is admitted.

    Args:
        dialect: the caller's.
        request: in it.
        context: of the request.
        target: who shall answer.
    """
    principal, price = context.principal, target.price
    labels = dialect.labels(request)
    return CallRecord(
        call_id=context.request_id,
        organisation_id=principal.organisation_id,
        project_id=principal.project_id,
        user_id=principal.user_id,
        key_id=principal.key_id,
        account_ids=principal.account_ids,
        route=dialect.route,
        model=request.model,
        provider=target.provider,
        target_model=target.model,
        price_id=price.id if price is not None else None,
        end_user=labels.end_user,
        tags=labels.tags | context.tags,
    )


class Plan:
    """A call that is about to be admitted.

    What it may cost is read from the request as it goes to the provider, never from another form.

    Args:
        wire: the request, as it came and as it goes.
        target: who shall answer it.
        context: of the request.
        free_fields: what an administrator has declared to cost nothing.
        claim: of the caller's Idempotency-Key.
    """

    def __init__(
        self,
        wire: Wire,
        target: Target,
        context: CallContext,
        *,
        free_fields: frozenset[str],
        claim: Claim | None,
    ) -> None:
        self.wire = wire
        self._free_fields = free_fields
        self._claim = claim
        self._costs: CallCosts = wire.dialect.read_costs(wire.request)
        self.target = target = priced(target, self._costs)
        self.record = record_of(wire.caller, wire.asked, context, target)
        self.ask = self._ask(call_bound(self._costs, (target,)))

    def bound_nano(self, output: int | None = None) -> int:
        """The most that one try can cost.

        Args:
            output: tokens a choice that it is held to, where that is less than is assumed.
        """
        bound = self.ask.bound
        return bound.nano(None if output is None else min(output, bound.output))

    def further(self, receipt: Receipt, earlier_nano: int) -> Further:
        """What a try asks of the ledger after others that may have cost something."""
        target = self.target
        return Further(
            bound_nano=earlier_nano + self.bound_nano(receipt.output),
            ask=self.ask,
            output=receipt.output,
            provider=target.provider,
            target_model=target.model,
            price_id=target.price.id if target.price is not None else None,
        )

    def tightened(self) -> Ask | None:
        """The same with the prompt's tokens counted instead of its bytes, where that is less.

        Takes CPU time, in a native thread; worth it only when the cheap bound does not fit.
        """
        tokens = self.input_tokens()
        if tokens is None:
            return None
        bound = call_bound(self._costs, (self.target,), input_tokens=tokens)
        return self._ask(bound) if bound.nano() < self.ask.bound.nano() else None

    def input_tokens(self) -> int | None:
        """The tokens of the prompt at most, counted; None when the vocabulary is not public."""
        vocabulary = self.target.facts.tokenizer
        if vocabulary is None or not known(vocabulary):
            return None
        texts = self.wire.dialect.prompt_texts(self.wire.request, self._costs)
        return chat_input_tokens(texts, vocabulary)

    @property
    def counts_output(self) -> bool:
        """Whether an answer that is cut can be counted by its visible text.

        It can't where the vocabulary is not public, where the model may bill what it does not show,
        and where the prompt is more than what the request shows.
        """
        facts, costs = self.target.facts, self._costs
        return (
            known(facts.tokenizer)
            and not facts.hides_output
            and not costs.has_media
            and not costs.unseen_prompt
        )

    def usage_of(self, text: str) -> Usage | None:
        """The usage of an answer that was cut, by its visible text; None if it can't be known."""
        vocabulary = self.target.facts.tokenizer
        prompt = self.input_tokens()
        if vocabulary is None or prompt is None or not self.counts_output:
            return None
        return Usage(input_tokens=prompt, output_tokens=visible_output_tokens(text, vocabulary))

    def _ask(self, bound: Bound) -> Ask:
        if bound.unruled:
            left = tuple(name for name in bound.unruled if name not in self._free_fields)
            bound = msgspec.structs.replace(bound, unruled=left)
        return Ask(
            bound=bound,
            priced=self.target.price is not None,
            suspended=self.target.suspended,
            claim=self._claim,
        )
