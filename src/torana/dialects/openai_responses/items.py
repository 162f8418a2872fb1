"""The items of a conversation as raw JSON: what is kept of a response, and how it is gone on from.

A conversation that Torana keeps for its caller is a list of such items: what the caller has sent
and what the model has answered, in their own words.
"""

from __future__ import annotations

import msgspec

from torana.dialects import signatures, wire
from torana.dialects.openai_responses.output import is_generated
from torana.dialects.openai_responses.requests import is_given
from torana.dialects.wire import BAD_JSON, WireRequest
from torana.errors import InvalidRequest, UpstreamGarbage

_items_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_PREVIOUS = "previous_response_id"
_HINTS = (b'"torana.', b'"rs_')
"""One of them is in every such item."""


class _Output(msgspec.Struct):
    output: list[msgspec.Raw] = []


class _Reasoning(msgspec.Struct):
    type: str | None = None
    id: str = ""
    encrypted_content: str | None = None


def conversation_items(fields: dict[str, msgspec.Raw]) -> list[msgspec.Raw]:
    """The items that a caller has sent as `input`; a text is a message of the user.

    Raises:
        InvalidRequest: the input is neither a text nor a list.
    """
    if not is_given(fields, "input"):
        return []
    value = fields["input"]
    if bytes(memoryview(value)[:1]) == b'"':
        text = wire.optional(fields, "input", str)
        return [wire.raw({"type": "message", "role": "user", "content": text})]
    try:
        return _items_decoder.decode(value)
    except BAD_JSON:
        raise InvalidRequest("'input' must be a text or a list of items.", param="input") from None


def output_items(response: bytes) -> list[msgspec.Raw]:
    """The items of an answer.

    Args:
        response: the JSON of a `response` object.

    Raises:
        UpstreamGarbage: it is none.
    """
    try:
        return msgspec.json.decode(response, type=_Output).output
    except BAD_JSON as error:
        raise UpstreamGarbage("The provider's answer is not a response.") from error


def continued(request: WireRequest, items: bytes) -> WireRequest:
    """A request that says itself what came before, in place of `previous_response_id`.

    Args:
        request: the caller's.
        items: the conversation so far, a JSON list of items.

    Raises:
        InvalidRequest: the input is neither a text nor a list.
    """
    fields = dict(request.fields)
    fields.pop(_PREVIOUS, None)
    fields["input"] = wire.raw([*_items_decoder.decode(items), *conversation_items(request.fields)])
    grown = len(fields["input"]) - len(request.fields.get("input", b""))
    return msgspec.structs.replace(request, fields=fields, size=request.size + grown)


def without_foreign(request: WireRequest) -> tuple[WireRequest, tuple[str, ...]]:
    """A request without the thinking of other vendors' models, which OpenAI refuses to read.

    A conversation that another vendor's model has begun has envelopes in its reasoning items (see
    `torana.dialects.signatures`), or items without a signature under ids of ours. The request is
    the same object where there are none.

    Returns:
        The request, and `("thinking",)` when something was left out.
    """
    value = request.fields.get("input")
    written = b"" if value is None else bytes(value)
    if not any(hint in written for hint in _HINTS):
        return request, ()
    items = conversation_items(request.fields)
    own = [item for item in items if not _is_foreign(item)]
    if len(own) == len(items):
        return request, ()
    fields = {**request.fields, "input": wire.raw(own)}
    return msgspec.structs.replace(request, fields=fields), ("thinking",)


def _is_foreign(item: msgspec.Raw) -> bool:
    try:
        found = msgspec.json.decode(item, type=_Reasoning)
    except BAD_JSON:
        return False
    if found.type != "reasoning":
        return False
    if found.encrypted_content is None:
        return is_generated(found.id)
    return signatures.unpack(found.encrypted_content) is not None
