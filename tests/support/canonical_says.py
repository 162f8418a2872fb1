"""What a dialect can say, as a value, for the strategies of property tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torana.core import chat
from torana.core.chat import (
    Document,
    Finish,
    Image,
    Text,
)
from torana.core.usage import Usage

CONVERSATION_UNITS = frozenset(Usage.__struct_fields__) - {
    "input_image_tokens",
    "output_image_tokens",
    "images",
    "characters",
    "audio_seconds",
    "searches",
}
"""What conversations are counted in; the rest belongs to images, audio and rerankings."""


@dataclass(frozen=True)
class Says:
    """What a dialect can say.

    Attributes:
        without: fields of `ChatCall` that it can't say.
        roles: of instructions, at the start.
        max_systems: messages of instructions at the start.
        later_systems: instructions in the middle of a conversation.
        names: of speakers.
        cache: marks on parts and tools, with which times to live (None for one without); empty
            for no marks.
        image_detail: which details of images.
        files: whose file ids.
        urls: images by their address; `document_urls`: documents too.
        titles: titles of documents.
        thinking: whose signatures, None for thinking that nobody has signed.
        thinking_ids: thinking has the id of an item.
        thinking_empty: thinking without text, which has only a signature.
        hidden: thinking that only its vendor can read.
        url_citations, document_citations: of texts, in replies and their history.
        citation_spans: a citation tells the characters; else it stands for the whole part.
        citation_tokens: a citation has a token and the cited text.
        custom_tools: tools and calls of free text.
        result_parts: which values a tool's result may hold.
        result_errors: a tool's result may be an error.
        result_many: a tool's result may have none or several parts.
        call_order: text may come after calls of tools.
        max_texts: texts in one turn of the assistant.
        efforts, reasoning_modes, budgets, visible, summaries: of `Reasoning`.
        allowed_tools: a choice among some tools.
        json_object: any JSON object as the format.
        format_names: formats have names, descriptions and strictness.
        strict: tools can be strict.
        schemaless: tools can be without a schema.
        temperature: the highest.
        stops: how many stop sequences.
        tiers: service tiers of calls; `reply_tiers`: of replies.
        finishes: ends of replies.
        stop_sequence: a reply tells which stop sequence has ended it.
        usage: classes of usage.
        created: a reply tells when it was made.
        nothing: a reply may have no parts.
    """

    without: frozenset[str] = frozenset()
    roles: tuple[chat.Role, ...] = ("system", "developer")
    max_systems: int = 2
    max_system_parts: int = 2
    later_systems: bool = True
    names: bool = True
    cache: tuple[Literal["5m", "1h"] | None, ...] = (None, "5m", "1h")
    image_detail: tuple[str, ...] = ("low", "high", "auto")
    files: tuple[chat.Vendor, ...] = ("openai", "anthropic")
    urls: bool = True
    documents: bool = True
    document_urls: bool = True
    document_texts: bool = True
    document_context: bool = True
    document_cited: bool = True
    titles: bool = True
    audio: bool = True
    refusals: bool = True
    thinking: tuple[chat.Vendor | None, ...] = (None, "openai", "anthropic")
    thinking_ids: bool = True
    thinking_empty: bool = True
    hidden: tuple[chat.Vendor, ...] = ("openai", "anthropic")
    url_citations: bool = True
    document_citations: bool = True
    citation_spans: bool = True
    citation_tokens: bool = True
    custom_tools: bool = True
    result_parts: tuple[type, ...] = (Text, Image, Document)
    result_errors: bool = True
    result_many: bool = True
    call_order: bool = True
    max_texts: int = 3
    efforts: tuple[str, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
    reasoning_modes: tuple[Any, ...] = (None, "off", "on", "adaptive")
    visible: bool = True
    summaries: tuple[str, ...] = ("auto", "concise", "detailed")
    allowed_tools: bool = True
    json_object: bool = True
    format_names: bool = True
    strict: bool = True
    schemaless: bool = True
    temperature: float = 2.0
    stops: int = 4
    tiers: tuple[str, ...] = ("auto", "default", "flex", "priority", "standard_only")
    reply_tiers: tuple[str, ...] = ("default", "flex", "priority")
    finishes: tuple[Finish, ...] = tuple(Finish)
    stop_sequence: bool = True
    usage: frozenset[str] = CONVERSATION_UNITS
    created: bool = True
    nothing: bool = True


EVERYTHING = Says()
