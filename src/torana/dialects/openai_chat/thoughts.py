"""Thinking in a chat completion: `reasoning_content`, and `reasoning_details` with signatures.

OpenAI's own chat has neither; look-alikes (DeepSeek, vLLM, OpenRouter) have agreed on them. A
caller that repeats an assistant's message as it came brings every signature back, whoever signed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from torana.core.chat import HiddenThinking, Part, Thinking, Vendor

FORMATS: dict[Vendor | None, str] = {
    "anthropic": "anthropic-claude-v1",
    "openai": "openai-responses-v1",
    None: "unknown",
}
"""OpenRouter's names of whose signature it is."""
TEXT = "reasoning.text"
SUMMARY = "reasoning.summary"
ENCRYPTED = "reasoning.encrypted"


def vendor_of(detail: dict[str, Any]) -> Vendor | None:
    """Whose signature a detail has; None for vendors that nobody here can send it back to."""
    form = detail.get("format")
    if not isinstance(form, str):
        return None
    if form.startswith("anthropic-"):
        return "anthropic"
    return "openai" if form.startswith("openai-") else None


def write_details(parts: Iterable[Part]) -> list[dict[str, Any]]:
    """All thinking of a reply as `reasoning_details`."""
    thoughts = [part for part in parts if isinstance(part, (Thinking, HiddenThinking))]
    return [write_detail(part, index) for index, part in enumerate(thoughts)]


def write_detail(part: Thinking | HiddenThinking, index: int) -> dict[str, Any]:
    """One piece of thinking, whole."""
    detail: dict[str, Any] = {"index": index}
    if isinstance(part, HiddenThinking):
        detail |= {"type": ENCRYPTED, "data": part.data}
    else:
        detail |= {"type": TEXT, "text": part.text}
        if part.signature is not None:
            detail["signature"] = part.signature
    if part.id is not None:
        detail["id"] = part.id
    detail["format"] = FORMATS[part.vendor]
    return detail


def read_details(details: Iterable[Any]) -> tuple[list[Part], bool]:
    """The thinking that `reasoning_details` hold, and whether some of it had to be left out.

    Pieces of one index are joined: some callers keep the chunks of a stream as they came.
    """
    parts: list[Part] = []
    lost = False
    for detail in _joined(details):
        part, whole = _read_detail(detail)
        lost = lost or not whole
        if part is not None:
            parts.append(part)
    return parts, lost


def _read_detail(detail: dict[str, Any]) -> tuple[Part | None, bool]:
    vendor = vendor_of(detail)
    kind = detail.get("type")
    text = _text(detail, "text") or _text(detail, "summary") or ""
    if kind == ENCRYPTED:
        data = _text(detail, "data")
        if not data or vendor is None:
            return None, not data
        return HiddenThinking(data, vendor, _text(detail, "id")), True
    if kind not in (TEXT, SUMMARY):
        return None, False
    signature = _text(detail, "signature") or None
    if signature is not None and vendor is not None:
        return Thinking(text, signature, vendor, _text(detail, "id")), True
    part = Thinking(text, id=_text(detail, "id")) if text else None
    return part, signature is None


def _joined(details: Iterable[Any]) -> list[dict[str, Any]]:
    joined: list[dict[str, Any]] = []
    for detail in details:
        if not isinstance(detail, dict):
            continue
        last = joined[-1] if joined else None
        if last is not None and _continues(last, detail):
            joined[-1] = _sum(last, detail)
        else:
            joined.append(detail)
    return joined


def _continues(last: dict[str, Any], detail: dict[str, Any]) -> bool:
    index = detail.get("index")
    return (
        isinstance(index, int)
        and last.get("index") == index
        and detail.get("type") == last.get("type") != ENCRYPTED
        # A signature closes a piece of thinking.
        and not _text(last, "signature")
    )


def _sum(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    joined = first | {key: value for key, value in second.items() if value is not None}
    for key in ("text", "summary"):
        texts = [_text(first, key), _text(second, key)]
        if any(text is not None for text in texts):
            joined[key] = "".join(text for text in texts if text)
    return joined


def _text(detail: dict[str, Any], key: str) -> str | None:
    value = detail.get(key)
    return value if isinstance(value, str) else None


def shown_text(parts: Iterable[Part]) -> str | None:
    """All thinking as `reasoning_content`; None when there is no text of it."""
    text = "".join(part.text for part in parts if isinstance(part, Thinking))
    return text or None


class ReasoningFields(msgspec.Struct):
    """The fields of a provider's message, or of a delta, that hold thinking."""

    reasoning_content: str | None = None
    reasoning: str | dict[str, Any] | None = None
    reasoning_details: list[Any] | None = None

    def text(self) -> str:
        """The plain text, by whichever name."""
        if self.reasoning_content:
            return self.reasoning_content
        return self.reasoning if isinstance(self.reasoning, str) else ""
