"""What callers may ask of a provider that costs nothing: counting a prompt, stored answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import quote

import msgspec

from torana.dialects import wire
from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.base import ChatDialect, Traits
from torana.errors import UpstreamRejected
from torana.guardrails.calls import guard_call
from torana.inference.asking import guards_of
from torana.inference.caller import CallContext
from torana.inference.stored_responses import StoredResponses, body_of
from torana.inference.wires import wire_of
from torana.outbound.client import Exchange, HttpClient, Timeouts
from torana.providers import Sending
from torana.providers.upstreams import Upstreams
from torana.routing.catalog import Target
from torana.tokenizer import estimated_tokens

_ANSWER_LIMIT = 64 * 1024 * 1024
_SECONDS = 30.0
COUNT_PATH = "/messages/count_tokens"


class TokenCount(msgspec.Struct, frozen=True):
    """The tokens of a prompt; `estimated` when they are not its provider's own count."""

    body: bytes
    estimated: bool


class FreeCalls:
    """Calls that need no admission, because nobody is charged for them.

    Args:
        upstreams: gives the present catalogue.
        http: the connections to providers.
        timeouts: of a provider's answer.
        responses: that callers come back to.
    """

    def __init__(
        self,
        *,
        upstreams: Callable[[], Upstreams],
        http: HttpClient,
        timeouts: Timeouts,
        responses: StoredResponses,
    ) -> None:
        self._upstreams = upstreams
        self._http = http
        self._timeouts = timeouts
        self._responses = responses

    def count_tokens(self, body: bytes, context: CallContext) -> TokenCount:
        """Count the prompt of a Messages request: by its provider, or by a tokenizer of ours.

        Raises:
            ToranaError: the request is malformed, or the provider failed.
        """
        request = ANTHROPIC.decode_count(body)
        upstreams = self._upstreams()
        route = upstreams.catalog.route(request.model)
        targets = zip(route.targets, upstreams.catalog.targets_of(route), strict=True)
        _, target = min(targets, key=lambda pair: pair[0].priority)
        provider = upstreams.providers[target.provider]
        guards = guards_of(upstreams, route, context)
        if guards is not None:
            # Whoever counts a prompt reads it, so its guardrails come first.
            call = guard_call(guards, ANTHROPIC.read_call(wire.readable(request)))
            written = ANTHROPIC.write_call(call, Traits()).request
            fields = {name: each for name, each in written.fields.items() if name != "max_tokens"}
            request = msgspec.structs.replace(written, fields=fields)
        if provider.counts_tokens:
            own, _ = ANTHROPIC.own(request)
            counted = ANTHROPIC.encode_upstream(own, model=target.model)
            answer = self._ask(target.provider, COUNT_PATH, context, body=counted)
            return TokenCount(answer, estimated=False)
        plan_wire = wire_of(ANTHROPIC, request, speaks=provider.speaks, target=target)
        tokens = _estimate(plan_wire.dialect, plan_wire.request, target)
        return TokenCount(wire.encode_fields({"input_tokens": tokens}), estimated=True)

    def get_response(self, response_id: str, context: CallContext) -> bytes:
        """A stored answer of the caller's project, as it was.

        Raises:
            ResponseNotFound: there is none, or not for this caller.
            UpstreamError: its provider keeps it, and failed.
        """
        found = self._responses.find(response_id, context)
        kept = body_of(found)
        if kept is not None:
            return kept
        return self._ask(found.provider, _path(response_id), context)

    def delete_response(self, response_id: str, context: CallContext) -> bytes:
        """Forget a stored answer of the caller's project, here and at its provider.

        Raises:
            ResponseNotFound: there is none, or not for this caller.
            UpstreamError: its provider keeps it, and failed; it is still there.
        """
        found = self._responses.find(response_id, context)
        if found.content is None:
            try:
                self._ask(found.provider, _path(response_id), context, deletes=True)
            except UpstreamRejected as error:
                if error.status != 404:  # Gone there already: then it goes here too.
                    raise
        self._responses.delete(response_id, context)
        return wire.encode_fields({"id": response_id, "object": "response", "deleted": True})

    def _ask(
        self,
        provider: str,
        path: str,
        context: CallContext,
        *,
        body: bytes | None = None,
        deletes: bool = False,
    ) -> bytes:
        answer = (
            self._upstreams()
            .provider(provider)
            .send(
                self._http,
                Sending(
                    path=path,
                    body=body,
                    deletes=deletes,
                    request_id=context.request_id,
                    timeouts=self._timeouts,
                    exchange=Exchange(time.monotonic() + _SECONDS),
                    forwarded=context.forwarded,
                ),
            )
        )
        try:
            return answer.read(_ANSWER_LIMIT)
        finally:
            answer.close()


def _path(response_id: str) -> str:
    return f"/responses/{quote(response_id, safe='')}"


def _estimate(dialect: object, request: wire.WireRequest, target: Target) -> int:
    """About how many tokens a prompt is, in the form in which it would be sent."""
    if not isinstance(dialect, ChatDialect):
        message = "only a conversation can be estimated"
        raise TypeError(message)
    costs = dialect.read_costs(request)
    texts = dialect.prompt_texts(request, costs)
    images = costs.images * (target.facts.image_tokens or 0)
    return estimated_tokens(texts, target.facts.tokenizer) + images
