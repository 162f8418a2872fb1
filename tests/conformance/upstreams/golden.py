"""A golden answer of a provider, and how it comes over the wire: in pieces cut at odd places."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.conformance.said import Said
from tests.contract.fake_upstream import Script, Turn

STRIDES = (1, 2, 3, 61, 7, 211, 5)
"""Sizes of the pieces in turn: characters and frames are cut anywhere."""

Json = dict[str, Any]
AnswerOf = Callable[[Json], Json]
"""The JSON answer to a request: what it says may depend on what was asked for."""
StreamOf = Callable[[Json], bytes]
"""All bytes of the stream that answers a request."""


@dataclass(frozen=True, kw_only=True)
class Golden:
    """One answer, as JSON and as a stream.

    Attributes:
        said: what a reader of this dialect must find in it, ids as this provider makes them.
        seals: signatures and encrypted thinking, which must come back in the next turn.
        at_once: its calls grow at the same time.
        status: of the JSON answer.
        whole: the stream ends as HTTP says; else the connection is cut.
    """

    said: Said
    answer: AnswerOf
    stream: StreamOf
    seals: tuple[str, ...] = ()
    at_once: bool = False
    status: int = 200
    whole: bool = True

    def play(self, turn: Turn) -> None:
        """Answer one call."""
        request = turn.request.json()
        if not turn.wants_stream:
            turn.reply(self.answer(request), self.status)
            return
        turn.begin_stream()
        for piece in pieces(self.stream(request)):
            turn.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if self.whole:
            turn.write(b"0\r\n\r\n")
        else:
            turn.cut()


def conversation(goldens: Sequence[Golden], goes_on: Callable[[Json], int]) -> Script:
    """A script that gives each turn its answer.

    Args:
        goldens: the answers in order.
        goes_on: how many answers a request's history holds already.
    """

    def play(turn: Turn) -> None:
        goldens[goes_on(turn.request.json())].play(turn)

    return play


def pieces(data: bytes) -> Iterator[bytes]:
    """The data, cut at places that mean nothing."""
    start, number = 0, 0
    while start < len(data):
        end = start + STRIDES[number % len(STRIDES)]
        yield data[start:end]
        start, number = end, number + 1


def frame(data: Mapping[str, Any], *, event: str | None = None, escaped: bool = False) -> bytes:
    """One event of a stream; `escaped` writes all that is not ASCII as `\\u....`."""
    text = json.dumps(data, ensure_ascii=escaped, separators=(",", ":"))
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {text}\n\n".encode()


def split(text: str, sizes: Sequence[int] = (1, 9, 2, 17, 4)) -> list[str]:
    """A text in fragments, as a model's tokens cut it: characters stay whole, words do not."""
    parts, start, number = [], 0, 0
    while start < len(text):
        end = start + sizes[number % len(sizes)]
        parts.append(text[start:end])
        start, number = end, number + 1
    return parts


def compact(value: Any) -> str:
    """JSON as the providers' models write it."""
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
