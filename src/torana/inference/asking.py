"""From a body to the course of its call: read, routed, and planned for each target on the way."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from torana.core.chat import ChatCall
from torana.dialects.base import ChatDialect, Dialect, lost_of
from torana.dialects.media import decoded
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.dialects.uploads import Upload
from torana.dialects.wire import readable
from torana.errors import GuardrailBlocked, TranslationLoss
from torana.guardrails.calls import guard_call
from torana.guardrails.fields import guard_fields
from torana.guardrails.guarded import GuardedCalls
from torana.inference.cache import Lead
from torana.inference.caller import CallContext
from torana.inference.course import Course, ordered
from torana.inference.health import Health
from torana.inference.idempotency import AnswerStore, claim_of
from torana.inference.keeping import Keeping
from torana.inference.planning import Plan
from torana.inference.stored_responses import Begun, StoredResponses, kept_at_provider
from torana.inference.wires import Wire, wire_of
from torana.obs.metrics import Metrics
from torana.providers import Provider
from torana.providers.upstreams import Upstreams
from torana.routing.catalog import Target
from torana.routing.routes import Route


class CallPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What an administrator has decided about calls.

    Attributes:
        free_fields: fields that cost nothing, whatever the bound rules know of them.
        retry_uncertain: try again after a try that may have been processed; both may cost.
    """

    free_fields: frozenset[str] = frozenset()
    retry_uncertain: bool = False


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A call as its caller has asked for it.

    Attributes:
        dialect: the caller's.
        body: in it, or the form that was uploaded.
        context: of the request.
        begun: the request, with what it goes on from.
        upstreams: what may be called at present; a call sees one state to its end.
        route: what it has asked for.
        guards: its guardrails, which have let the prompt pass.
        call: the conversation as they have let it pass.
    """

    dialect: Dialect
    body: bytes | Upload
    context: CallContext
    begun: Begun
    upstreams: Upstreams
    route: Route
    guards: GuardedCalls | None = None
    call: ChatCall | None = None


def guards_of(upstreams: Upstreams, route: Route, context: CallContext) -> GuardedCalls | None:
    """The guardrails of a call: those of its alias, and of every model that may answer it."""
    names = {name for one in route.targets for name in (one.model, f"{one.provider}/{one.model}")}
    return upstreams.guardrails.for_call(
        route.name, context.principal.project_id, also=sorted(names)
    )


class Asking:
    """Reads calls and plans their course.

    Args:
        upstreams: gives the present catalogue.
        policy: of the administrator.
        answers: of callers' Idempotency-Keys.
        responses: that callers come back to.
        health: of targets.
        metrics: are told what guardrails have blocked.
    """

    def __init__(
        self,
        *,
        upstreams: Callable[[], Upstreams],
        policy: CallPolicy,
        answers: AnswerStore,
        responses: StoredResponses,
        health: Health,
        metrics: Metrics,
    ) -> None:
        self._upstreams = upstreams
        self._policy = policy
        self._answers = answers
        self._responses = responses
        self._health = health
        self._metrics = metrics

    def read(self, dialect: Dialect, body: bytes | Upload, context: CallContext) -> Asked:
        """Read a call as far as Torana must know it.

        Raises:
            ToranaError: it is malformed, or there is no such model.
        """
        request = decoded(dialect, body)
        if dialect is OPENAI_RESPONSES:
            begun = self._responses.begin(request, context)
        else:
            begun = Begun(request=request)
        upstreams = self._upstreams()
        route = upstreams.catalog.route(begun.request.model)
        asked = Asked(
            dialect=dialect,
            body=body,
            context=context,
            begun=begun,
            upstreams=upstreams,
            route=kept_at_provider(begun, route),
        )
        guards = guards_of(upstreams, route, context)
        return asked if guards is None else self._guarded(asked, guards)

    def _guarded(self, asked: Asked, guards: GuardedCalls) -> Asked:
        """A call as its guardrails let it pass."""
        dialect, begun = asked.dialect, asked.begun
        try:
            if isinstance(dialect, ChatDialect):
                call = guard_call(guards, dialect.read_call(readable(begun.request)))
                return msgspec.structs.replace(asked, guards=guards, call=call)
            request = guard_fields(guards, begun.request)
            begun = msgspec.structs.replace(begun, request=request)
            return msgspec.structs.replace(asked, guards=guards, begun=begun)
        except GuardrailBlocked:
            for name, outcome in guards.outcomes.items():
                self._metrics.guardrail(name, outcome)
            raise

    def course(self, asked: Asked, lead: Lead | None = None) -> Course:
        """Where a call may go, in the order in which it is tried.

        Args:
            asked: the call.
            lead: of a call whose answer others may share.

        Raises:
            InvalidRequest: it can't be read as far as the conditions of its route need it.
        """
        upstreams, route = asked.upstreams, asked.route
        found = ordered(
            asked.dialect,
            asked.begun.request,
            route,
            upstreams.catalog.targets_of(route),
            asked.context,
            self._health,
        )

        def planner(target: Target, provider: Provider) -> tuple[Plan, Keeping]:
            plan = self._plan(asked, target, provider)
            return plan, self._keeping(asked, plan, lead)

        return Course(found, upstreams.provider, planner)

    def _plan(self, asked: Asked, target: Target, provider: Provider) -> Plan:
        context = asked.context
        claim = None
        if context.idempotency_key is not None:
            key_id, body = context.principal.key_id, asked.body
            content = body if isinstance(body, bytes) else body.digest.encode()
            claim = claim_of(key_id, context.idempotency_key, asked.dialect.route, content)
        return Plan(
            self._wire(asked, target, provider),
            target,
            context,
            free_fields=self._policy.free_fields,
            claim=claim,
        )

    def _wire(self, asked: Asked, target: Target, provider: Provider) -> Wire:
        begun, strict = asked.begun, asked.context.strict
        wire = wire_of(
            asked.dialect,
            begun.request,
            speaks=provider.speaks,
            target=target,
            takes_thinking=provider.takes_thinking,
            continued=begun.continued,
            strict=strict,
            call=asked.call,
        )
        if asked.guards is not None:
            wire = msgspec.structs.replace(wire, guards=asked.guards)
        dropped = provider.drops(wire.request.fields)
        if not dropped:
            return wire
        if strict:
            raise TranslationLoss(dropped)
        return msgspec.structs.replace(wire, lost=lost_of(*wire.lost, *dropped), dropped=dropped)

    def _keeping(self, asked: Asked, plan: Plan, lead: Lead | None) -> Keeping:
        begun = asked.begun
        response = None
        if asked.dialect is OPENAI_RESPONSES:
            response = self._responses.keeper(begun, plan.wire)
        return Keeping(
            seal=self._answers.seal if plan.ask.claim is not None else None,
            response=response,
            lead=lead,
            previous_id=begun.previous_id,
        )
