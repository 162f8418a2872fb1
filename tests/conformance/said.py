"""What a model says and what it is asked, in no wire format's words.

The goldens of each upstream say these values in its own dialect, and each caller's reader gives
them back from what its SDK has parsed. So one expected value serves all pairs of dialects.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

End = Literal["stop", "stop_sequence", "length", "tools", "refusal"]


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """A usage whose classes do not overlap; every one differs, so that none can stand for another."""

    plain: int = 60
    cached: int = 32
    written: int = 8
    visible: int = 20
    reasoning: int = 0

    @property
    def prompt(self) -> int:
        """All that the model has read."""
        return self.plain + self.cached + self.written

    @property
    def answer(self) -> int:
        """All that it has written."""
        return self.visible + self.reasoning


@dataclass(frozen=True, kw_only=True)
class Call:
    """The model calls a tool; `arguments` as they are parsed."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Said:
    """An answer.

    Attributes:
        thoughts: the readable thinking, all of it.
        hidden: how many pieces of thinking only their vendor can read.
        refusal: the words of a model that declines; readers of dialects that have no place for
            them give them as `text`.
    """

    text: str = ""
    thoughts: str = ""
    hidden: int = 0
    refusal: str = ""
    calls: tuple[Call, ...] = ()
    end: End = "stop"
    tokens: Tokens | None = field(default_factory=Tokens)


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A tool that the caller offers."""

    name: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a tool has brought."""

    call_id: str
    text: str
    failed: bool = False


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image in a question: base64 of a media type, or the URL alone."""

    data: str = ""
    media_type: str = ""
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question."""

    system: str = ""
    text: str
    pictures: tuple[Picture, ...] = ()
    tools: tuple[Tool, ...] = ()
    thinks: bool = False
    stop: tuple[str, ...] = ()


# --- what an upstream has received -------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A request, as the upstream's reader found it.

    Attributes:
        system: all instructions, joined.
        turns: what was said, in order; see `Turn`.
        tools: in order.
        limit: output tokens.
        seals: the signatures and encrypted pieces of thinking that came back, in order.
    """

    system: str
    turns: tuple[tuple[str, Any], ...]
    tools: tuple[Tool, ...]
    limit: int | None
    seals: tuple[str, ...]
    stop: tuple[str, ...] = ()
    thinks: bool = False
