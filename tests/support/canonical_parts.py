"""Parts of canonical messages for property tests: what `Says` says that a dialect can say."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

import msgspec
from hypothesis import strategies as st

from tests.support.canonical_says import Says
from torana.core.chat import (
    CacheMark,
    Citation,
    Document,
    DocumentCitation,
    FileRef,
    HiddenThinking,
    Image,
    Inline,
    Part,
    PlainText,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
    UrlCitation,
)

# --- small values ------------------------------------------------------------------------------

_CHARACTERS = st.characters(exclude_categories=["Cs"])


def _is_bare(text: str) -> bool:
    return text == text.strip() != ""


TEXTS: st.SearchStrategy[str] = st.one_of(
    st.sampled_from(["hello", "naïve café", "\U0001f600 ok", '"quoted" \\ and {braces}', "a\n\nb"]),
    st.text(_CHARACTERS, min_size=1, max_size=20).filter(_is_bare),
)
NAMES: st.SearchStrategy[str] = st.text("abcXYZ019_-", min_size=1, max_size=8).map(
    lambda tail: f"n{tail}"
)
URLS = st.sampled_from(["https://example.com/a", "https://example.com/b.png?x=%20&y=1"])
BASE64 = st.binary(min_size=1, max_size=20).map(lambda data: base64.b64encode(data).decode())
SIGNATURES = st.binary(min_size=1, max_size=20).map(lambda data: base64.b64encode(data).decode())
JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
ARGUMENTS: st.SearchStrategy[str] = st.one_of(
    st.sampled_from(
        [
            "{}",
            '{"n":123456789012345678901234567890}',
            '{"x": 1.0e400, "y":0.10}',
            '{ "spaced" : "\\u00e9" }',
        ]
    ),
    st.dictionaries(NAMES, JSON_VALUES, max_size=3).map(
        lambda value: msgspec.json.encode(value).decode()
    ),
)
SCHEMAS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"type": "object", "properties": {}},
        {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "où?"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    ]
)


@cache
def marks(says: Says) -> st.SearchStrategy[CacheMark | None]:
    """Cache marks, mostly none."""
    if not says.cache:
        return st.none()
    made = st.sampled_from([CacheMark(ttl) for ttl in says.cache])
    return st.none() | st.none() | made


# --- parts -------------------------------------------------------------------------------------


@cache
def citations(says: Says) -> st.SearchStrategy[tuple[Citation, ...]]:
    """The citations of one text."""
    kinds: list[st.SearchStrategy[Citation]] = []
    if says.url_citations:
        kinds.append(
            st.builds(
                UrlCitation,
                url=URLS,
                title=st.none() | TEXTS,
                start=st.integers(0, 3) if says.citation_spans else st.just(0),
                end=st.integers(4, 9) if says.citation_spans else st.just(0),
                cited_text=TEXTS if says.citation_tokens else st.none(),
                token=SIGNATURES if says.citation_tokens else st.none(),
            )
        )
    if says.document_citations:
        kinds.append(
            st.builds(
                lambda text, start: DocumentCitation(
                    "char_location",
                    {
                        "type": "char_location",
                        "cited_text": text,
                        "document_index": 0,
                        "document_title": None,
                        "start_char_index": start,
                        "end_char_index": start + 5,
                    },
                ),
                TEXTS,
                st.integers(0, 9),
            )
        )
    return st.lists(st.one_of(kinds), max_size=2).map(tuple) if kinds else st.just(())


@cache
def texts(says: Says, *, cited: bool = False) -> st.SearchStrategy[Text]:
    """Texts; with citations in turns of the assistant."""
    return st.builds(
        Text,
        text=TEXTS,
        citations=citations(says) if cited else st.just(()),
        cache=marks(says),
    )


@cache
def images(says: Says) -> st.SearchStrategy[Image]:
    """Pictures."""
    sources: list[st.SearchStrategy[Any]] = [
        st.builds(
            Inline,
            media_type=st.sampled_from(["image/png", "image/jpeg", "image/webp", "image/gif"]),
            data=BASE64,
        )
    ]
    if says.urls:
        sources.append(st.builds(Url, url=URLS))
    if says.files:
        sources.append(st.builds(FileRef, file_id=NAMES, vendor=st.sampled_from(says.files)))
    details = st.none() | st.sampled_from(says.image_detail) if says.image_detail else st.none()
    return st.builds(Image, source=st.one_of(sources), detail=details, cache=marks(says))


@cache
def documents(says: Says) -> st.SearchStrategy[Document]:
    """Documents."""
    sources: list[st.SearchStrategy[Any]] = [
        st.builds(Inline, media_type=st.just("application/pdf"), data=BASE64)
    ]
    if says.document_texts:
        sources.append(st.builds(PlainText, text=TEXTS))
    if says.document_urls:
        sources.append(st.builds(Url, url=URLS))
    if says.files:
        sources.append(st.builds(FileRef, file_id=NAMES, vendor=st.sampled_from(says.files)))
    return st.builds(
        Document,
        source=st.one_of(sources),
        title=st.none() | TEXTS if says.titles else st.none(),
        context=st.none() | TEXTS if says.document_context else st.none(),
        cited=st.booleans() if says.document_cited else st.just(False),
        cache=marks(says),
    )


@cache
def thinking(says: Says) -> st.SearchStrategy[Part]:
    """Thinking of all kinds that can be said; call it only where there is one."""
    ids = st.none() | NAMES.map(lambda name: f"rs_{name}") if says.thinking_ids else st.none()
    kinds: list[st.SearchStrategy[Part]] = []
    for vendor in says.thinking:
        if vendor is None:
            kinds.append(st.builds(Thinking, text=TEXTS))
        else:
            kinds.append(
                st.builds(
                    Thinking,
                    text=TEXTS | st.just("") if says.thinking_empty else TEXTS,
                    signature=SIGNATURES,
                    vendor=st.just(vendor),
                    id=ids if vendor == "openai" else st.none(),
                )
            )
    kinds += [
        st.builds(
            HiddenThinking,
            data=SIGNATURES,
            vendor=st.just(vendor),
            id=ids if vendor == "openai" else st.none(),
        )
        for vendor in says.hidden
    ]
    return st.one_of(kinds)


@st.composite
def tool_calls(draw: st.DrawFn, says: Says, *, first: int) -> list[ToolCall]:
    """Calls of one turn, in parallel; ids count from `first`."""
    made = []
    for number in range(draw(st.integers(0, 3))):
        custom = says.custom_tools and draw(st.booleans())
        made.append(
            ToolCall(
                id=f"call_{first + number}",
                name=draw(NAMES),
                arguments=draw(TEXTS if custom else ARGUMENTS),
                custom=custom,
                cache=draw(marks(says)),
            )
        )
    return made


@st.composite
def tool_results(draw: st.DrawFn, says: Says, call: ToolCall) -> ToolResult:
    """The result of a call."""
    kinds: dict[type, st.SearchStrategy[Any]] = {
        Text: texts(says),
        Image: images(says),
        Document: documents(says),
    }
    part = st.one_of([kinds[kind] for kind in says.result_parts])
    low, high = (0, 2) if says.result_many else (1, 1)
    return ToolResult(
        call_id=call.id,
        parts=tuple(draw(st.lists(part, min_size=low, max_size=high))),
        is_error=says.result_errors and draw(st.booleans()),
        custom=call.custom,
        cache=draw(marks(says)),
    )


@st.composite
def assistant_parts(draw: st.DrawFn, says: Says, *, first_call: int = 0) -> tuple[Part, ...]:
    """What an assistant says in one turn: thinking, then texts, then calls; at least one part."""
    parts: list[Part] = []
    if says.thinking or says.hidden:
        parts += _distinct(draw(st.lists(thinking(says), max_size=2)))
    spoken: list[Part] = list(draw(st.lists(texts(says, cited=True), max_size=says.max_texts)))
    if says.refusals and draw(st.integers(0, 4)) == 0:
        spoken = [Refusal(draw(TEXTS))]
    calls: list[Part] = list(draw(tool_calls(says, first=first_call)))
    if says.call_order and draw(st.booleans()):
        parts += [*calls[:1], *spoken, *calls[1:]]
    else:
        parts += [*spoken, *calls]
    return tuple(parts) if any(not _is_thought(p) for p in parts) else (*parts, draw(texts(says)))


def _distinct(thoughts: list[Part]) -> list[Part]:
    """The same, each with an id of its own where it has one: an id names one item."""
    return [
        msgspec.structs.replace(part, id=f"{part.id}{'x' * index}")
        if isinstance(part, (Thinking, HiddenThinking)) and part.id is not None
        else part
        for index, part in enumerate(thoughts)
    ]


def _is_thought(part: Part) -> bool:
    return isinstance(part, (Thinking, HiddenThinking))
