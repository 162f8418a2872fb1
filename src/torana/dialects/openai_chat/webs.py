"""Citations of web pages: `annotations` of a chat message, in both directions.

An annotation counts the characters of the whole content; a citation those of its part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from torana.core.chat import Part, Text, UrlCitation


def read_annotations(parts: Sequence[Part], annotations: Any) -> tuple[list[Part], bool]:
    """Parts with the citations that a message's `annotations` tell, and whether some were left out.

    Args:
        parts: of the message; its texts in the order in which they make up the content.
        annotations: as they were written.
    """
    cited = list(parts)
    whole = isinstance(annotations, list)
    for annotation in annotations if isinstance(annotations, list) else ():
        citation = read_annotation(annotation)
        place = None if citation is None else _place(cited, citation)
        if citation is None or place is None:
            whole = False
            continue
        index, before = place
        text = cited[index]
        if isinstance(text, Text):
            mark = localized(citation, before, len(text.text))
            cited[index] = msgspec.structs.replace(text, citations=(*text.citations, mark))
    return cited, not whole


def read_annotation(annotation: Any) -> UrlCitation | None:
    """One annotation, with the places that it tells; None when it is no citation of a page."""
    if not isinstance(annotation, dict) or annotation.get("type") != "url_citation":
        return None
    # Some servers write the fields without the object around them.
    inner = annotation.get("url_citation", annotation)
    if not isinstance(inner, dict) or not isinstance(inner.get("url"), str):
        return None
    title = inner.get("title")
    return UrlCitation(
        inner["url"],
        title if isinstance(title, str) and title else None,
        _count(inner.get("start_index")),
        _count(inner.get("end_index")),
    )


def localized(citation: UrlCitation, before: int, length: int) -> UrlCitation:
    """A citation in the characters of its part.

    Args:
        citation: in the characters of the content.
        before: characters of the content before the part.
        length: of the part.
    """
    start, end = max(citation.start - before, 0), max(citation.end - before, 0)
    if start == 0 and end == length:
        end = 0  # The whole part.
    return msgspec.structs.replace(citation, start=start, end=end)


def _place(parts: Sequence[Part], citation: UrlCitation) -> tuple[int, int] | None:
    """Which part a citation is of, and the characters before that part."""
    before = 0
    found = None
    for index, part in enumerate(parts):
        if isinstance(part, Text):
            if found is None or citation.start >= before:
                found = index, before
            before += len(part.text)
    return found


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def write_annotation(citation: UrlCitation, before: int, length: int) -> dict[str, Any]:
    """A citation of a part as an annotation of the content.

    Args:
        citation: of the part.
        before: characters of the content before the part.
        length: of the part.
    """
    start, end = citation.start, citation.end
    if start == 0 and end == 0:
        end = length
    return {
        "type": "url_citation",
        "url_citation": {
            "start_index": before + start,
            "end_index": before + end,
            "title": citation.title or "",
            "url": citation.url,
        },
    }


def losses(citation: UrlCitation) -> list[str]:
    """What of a citation an annotation has no place for."""
    return [
        name
        for name, value in (
            ("citations[].cited_text", citation.cited_text),
            ("citations[].encrypted_index", citation.token),
        )
        if value is not None
    ]
