"""Responses that callers come back to: the state behind `store` and `previous_response_id`.

Where the provider keeps a conversation, a row says only whose it is, so that nobody else's key of
the same provider account can reach it. Where the provider keeps none, because the call was
translated, Torana keeps the conversation as the items that the next call would have to send.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from torana.dialects import wire
from torana.dialects.openai_responses.items import continued, conversation_items, output_items
from torana.dialects.openai_responses.output import response_id_of
from torana.dialects.wire import WireRequest
from torana.errors import InvalidRequest, ResponseNotFound
from torana.inference.caller import CallContext
from torana.inference.conversations import Conversation, Conversations
from torana.inference.wires import Wire
from torana.ledger.records import KeptResponse
from torana.routing.routes import Route


class Kept(msgspec.Struct, frozen=True):
    """What is kept of a conversation.

    Attributes:
        items: the conversation so far as input items, the answer's among them.
        response: the answer as its caller got it.
    """

    items: list[msgspec.Raw]
    response: msgspec.Raw


_decoder = msgspec.json.Decoder(Kept)


class _Item(msgspec.Struct):
    type: str | None = None
    id: str | None = None


_item_decoder = msgspec.json.Decoder(_Item)
_REFERENCE = b'"item_reference"'


def _read(item: msgspec.Raw) -> _Item:
    try:
        return _item_decoder.decode(item)
    except wire.BAD_JSON:
        return _Item()


def _referred(item: msgspec.Raw) -> str | None:
    found = _read(item)
    return found.id if found.type == "item_reference" else None


def _id_of(item: msgspec.Raw) -> str | None:
    return _read(item).id


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A Responses call with what it goes on from.

    Attributes:
        request: with the conversation that Torana keeps in front of its own input.
        continued: whether there is one.
        provider: who keeps the conversation that it goes on from, if a provider does.
        previous_id: of the answer that it goes on from.
    """

    request: WireRequest
    continued: bool = False
    provider: str | None = None
    previous_id: str | None = None


class StoredResponses:
    """Begins calls from earlier ones, and says what is to be kept of them.

    Args:
        conversations: where they are, if they are kept at all.
    """

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations

    def begin(self, request: WireRequest, context: CallContext) -> Begun:
        """A call with the conversation that it goes on from.

        Raises:
            ResponseNotFound: there is no such answer, or not for this caller.
            InvalidRequest: it names a conversation that a provider would keep for all of us.
        """
        if bytes(request.fields.get("conversation", b"null")) != b"null":
            raise InvalidRequest(
                "Conversations are not offered here.",
                hint="Go on from a response with 'previous_response_id'.",
                param="conversation",
            )
        if not self._conversations.keeps:
            fields = request.fields | {"store": wire.raw(value=False)}
            request = msgspec.structs.replace(request, fields=fields)
        request, continued_here = self._with_items(request, context)
        previous_id = wire.optional(request.fields, "previous_response_id", str)
        if previous_id is None:
            return Begun(request=request, continued=continued_here)
        found = self.find(previous_id, context, param="previous_response_id")
        if found.content is None:
            return Begun(
                request=request,
                continued=continued_here,
                provider=found.provider,
                previous_id=previous_id,
            )
        kept = _decoder.decode(found.content)
        return Begun(
            request=continued(request, msgspec.json.encode(kept.items)),
            continued=True,
            previous_id=previous_id,
        )

    def _with_items(self, request: WireRequest, context: CallContext) -> tuple[WireRequest, bool]:
        """A request with the items themselves where it refers to items that Torana keeps.

        Returns:
            The request, and whether there was such a reference. One to an item that a provider
            keeps stays as it is.
        """
        if _REFERENCE not in bytes(request.fields.get("input", wire.ABSENT)):
            return request, False
        kept: dict[str, dict[str, msgspec.Raw]] = {}
        items = []
        changed = False
        for item in conversation_items(request.fields):
            found = self._item(_referred(item), context, kept)
            changed = changed or found is not None
            items.append(item if found is None else found)
        if not changed:
            return request, False
        fields = request.fields | {"input": wire.raw(items)}
        return msgspec.structs.replace(request, fields=fields), True

    def _item(
        self, item_id: str | None, context: CallContext, kept: dict[str, dict[str, msgspec.Raw]]
    ) -> msgspec.Raw | None:
        response_id = None if item_id is None else response_id_of(item_id)
        if item_id is None or response_id is None:
            return None
        if response_id not in kept:
            found = self._conversations.find(response_id, context.principal.project_id)
            content = None if found is None else found.content
            items = [] if content is None else _decoder.decode(content).items
            kept[response_id] = {name: item for item in items if (name := _id_of(item))}
        return kept[response_id].get(item_id)

    def keeper(
        self, begun: Begun, plan_wire: Wire
    ) -> Callable[[bytes], KeptResponse | None] | None:
        """What turns the JSON of an answer into what is kept of it; None when nothing shall be.

        Args:
            begun: the call.
            plan_wire: how it goes to its provider.
        """
        stored = wire.optional(begun.request.fields, "store", bool)
        if stored is False or not self._conversations.keeps:
            return None
        by_provider = plan_wire.call is None

        def keep(response: bytes) -> KeptResponse | None:
            content = None
            if not by_provider:
                kept = Kept(
                    [*conversation_items(begun.request.fields), *output_items(response)],
                    msgspec.Raw(response),
                )
                content = msgspec.json.encode(kept)
            response_id = _id_of(msgspec.Raw(response))
            if response_id is None:
                return None  # Nobody could come back to it.
            return self._conversations.keep(
                response_id, content=content, previous_id=begun.previous_id
            )

        return keep

    def find(
        self, response_id: str, context: CallContext, *, param: str | None = None
    ) -> Conversation:
        """An answer of the caller's project.

        Raises:
            ResponseNotFound: there is none, or not for this caller.
        """
        found = self._conversations.find(response_id, context.principal.project_id)
        if found is None:
            raise ResponseNotFound(
                "There is no stored response with this id.",
                hint="It may have expired, or belong to another project.",
                param=param,
            )
        return found

    def delete(self, response_id: str, context: CallContext) -> None:
        """Forget an answer of the caller's project."""
        self._conversations.delete(response_id, context.principal.project_id)


def body_of(found: Conversation) -> bytes | None:
    """The answer as its caller got it; None where its provider keeps it."""
    return None if found.content is None else bytes(_decoder.decode(found.content).response)


def kept_at_provider(begun: Begun, route: Route) -> Route:
    """A route without the targets that a conversation can't go on at: its provider keeps it.

    Raises:
        InvalidRequest: the model belongs to others.
    """
    if begun.provider is None:
        return route
    targets = tuple(one for one in route.targets if one.provider == begun.provider)
    if not targets:
        others = ", ".join(repr(one.provider) for one in route.targets)
        raise InvalidRequest(
            f"The previous response is kept by the provider {begun.provider!r}, "
            f"and this model belongs to {others}.",
            hint="Send the conversation in 'input' instead.",
            param="previous_response_id",
        )
    return msgspec.structs.replace(route, targets=targets)
