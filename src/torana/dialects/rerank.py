"""Reranking: a query and documents in, their order by relevance out.

The form that Cohere and Jina have made and vLLM, Together and others serve. Models are billed by
tokens, of which a query counts with every document, or by units of search: a query with up to a
hundred documents, of which a long one counts as several.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

import msgspec

from torana.core.usage import Usage
from torana.dialects import wire
from torana.dialects.base import WireAnswer
from torana.dialects.costs import CallCosts, Found, MediaCosts
from torana.dialects.media import Form, MediaDialect, Rule, items, read_answer, required_text
from torana.dialects.openai_chat.answers import Tokens
from torana.dialects.wire import BAD_JSON, WireRequest
from torana.errors import InvalidRequest, UpstreamGarbage

FIELDS: Mapping[str, Rule] = MappingProxyType(
    {
        "model": Rule.FREE,
        "query": Rule.PROMPT,
        "documents": Rule.PROMPT,
        "top_n": Rule.FREE,
        "return_documents": Rule.FREE,
        "rank_fields": Rule.FREE,
        # They only take something away from a document.
        "max_chunks_per_doc": Rule.FREE,
        "max_tokens_per_doc": Rule.FREE,
        "truncate_prompt_tokens": Rule.FREE,
        "user": Rule.FREE,
    }
)
"""What Cohere, Jina, Together and vLLM document."""
PAIR_TOKENS = 128
"""What a provider may put around each pair of a query and a document."""
DOCUMENTS_A_SEARCH = 100
PIECE_TOKENS = 500
"""A document is cut into pieces of so many tokens, the query among them."""
LEAST_ROOM = 50
MOST_DOCUMENTS = 10_000
_TEXT_KEYS = {"text", "title", "id", "content", "snippet"}


class Rerank(MediaDialect):
    """The dialect of `/rerank`."""

    route: ClassVar[str] = "rerank"
    path: ClassVar[str] = "/rerank"
    rules: ClassVar[Mapping[str, Rule]] = FIELDS

    def check(self, request: WireRequest) -> None:
        """That there are a query and documents."""
        required_text(request, "query")
        documents = wire.required(request.fields, "documents", list[msgspec.Raw])
        if not documents:
            raise InvalidRequest("'documents' must not be empty.", param="documents")
        if len(documents) > MOST_DOCUMENTS:
            raise InvalidRequest(
                f"'documents' has more than {MOST_DOCUMENTS:,} items.", param="documents"
            )

    def form(self, request: WireRequest) -> Form:
        """JSON."""
        del request
        return Form.JSON

    def read_costs(self, request: WireRequest) -> CallCosts:
        """The query with every document by bytes, and the pieces that these can be cut into."""
        found = self.look(request)
        documents = items(request.fields["documents"]) or []
        query = len(request.fields["query"])
        room = max(PIECE_TOKENS - query, LEAST_ROOM)
        pieces = 0
        for document in documents:
            _check_document(document, found)
            pieces += -(-len(document) // room)
        # One query is counted already.
        found.text_bytes += query * (len(documents) - 1) + PAIR_TOKENS * len(documents)
        media = MediaCosts(searches=-(-pieces // DOCUMENTS_A_SEARCH))
        return msgspec.structs.replace(found.costs(no_output=True), media=media)

    def decode_answer(self, body: bytes, *, model: str | None = None) -> WireAnswer:
        """See `Dialect`."""
        answer, body = read_answer(body, _decoder, what="a ranking", model=model)
        if answer.results is None:
            raise UpstreamGarbage("The provider's answer is not a ranking.")
        return WireAnswer(body, _usage_of(answer))


def _check_document(raw: msgspec.Raw, found: Found) -> None:
    """A document that is more than text has no rule."""
    if bytes(memoryview(raw)[:1]) == b'"':
        return
    try:
        document: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, Any])
    except BAD_JSON:
        found.no_rule("documents[]")
        return
    for name, value in document.items():
        if (
            name not in _TEXT_KEYS
            and not isinstance(value, (int, float, bool))
            and not (isinstance(value, str) and not _may_be_media(name, value))
        ):
            found.no_rule(f"documents[].{name}")


def _may_be_media(name: str, value: str) -> bool:
    """Whether a text may stand for an image or the like, which costs more than its bytes."""
    return name in {"image", "image_url", "video", "audio"} or value.startswith("data:")


# --- answers -----------------------------------------------------------------------------------

_Number = Annotated[float, msgspec.Meta(ge=0, le=10**12)]


class _Billed(msgspec.Struct):
    search_units: _Number | None = None
    input_tokens: _Number | None = None
    output_tokens: _Number | None = None


class _Meta(msgspec.Struct):
    billed_units: _Billed | None = None


class _RankUsage(msgspec.Struct):
    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
    total_tokens: Tokens | None = None
    search_units: _Number | None = None


class _Answer(msgspec.Struct):
    results: list[msgspec.Raw] | None = None
    meta: msgspec.Raw = msgspec.Raw(b"null")
    usage: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


_decoder = msgspec.json.Decoder(_Answer)
_meta_decoder = msgspec.json.Decoder(_Meta | None)
_usage_decoder = msgspec.json.Decoder(_RankUsage | None)


def _usage_of(answer: _Answer) -> Usage | None:
    """What an answer reports, in tokens, in units of search, or both; None when it is neither."""
    try:
        meta = _meta_decoder.decode(answer.meta)
        usage = _usage_decoder.decode(answer.usage) or _RankUsage()
    except BAD_JSON:
        return None
    billed = (meta.billed_units if meta is not None else None) or _Billed()
    searches = billed.search_units if billed.search_units is not None else usage.search_units
    written = usage.completion_tokens or math.ceil(billed.output_tokens or 0)
    read: int | None = None
    if billed.input_tokens is not None:
        read = math.ceil(billed.input_tokens)
    elif usage.prompt_tokens is not None:
        read = usage.prompt_tokens
    elif usage.total_tokens is not None:
        read = max(usage.total_tokens - written, 0)
    if read is None and searches is None:
        return None
    return Usage(input_tokens=read or 0, output_tokens=written, searches=math.ceil(searches or 0))


RERANK = Rerank()
