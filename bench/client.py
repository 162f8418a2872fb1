"""The driver's HTTP client: one keep-alive connection that sends the same request again and again.

It knows how to find the end of an answer and whether the answer is right; what to send, how often
and what to count is its owner's business.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Literal, cast

import msgspec

Dialect = Literal["openai", "anthropic"]
PATHS: dict[Dialect, str] = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
STREAM_END: dict[Dialect, bytes] = {
    "openai": b"data: [DONE]\n\n",
    "anthropic": b'data: {"type":"message_stop"}\n\n',
}
STREAM_PIECE: dict[Dialect, bytes] = {"openai": b'"content":', "anthropic": b"text_delta"}
LAST_CHUNK = b"\r\n0\r\n\r\n"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked, and by which signs an answer is right.

    `pieces` is the least number of pieces of text in a stream.
    """

    dialect: Dialect = "openai"
    stream: bool = False
    model: str = "gpt-4o-mini"
    pieces: int = 1

    def request(self, host: str, prefix: str, key: str) -> bytes:
        """The request's bytes; `prefix` is the path in front of `/v1`, usually empty."""
        body: dict[str, object] = {
            "model": self.model,
            "messages": [{"role": "user", "content": "Say hello to the world in a few words."}],
            "max_tokens": 256,
        }
        if self.stream:
            body["stream"] = True
        if self.stream and self.dialect == "openai":
            body["stream_options"] = {"include_usage": True}
        content = msgspec.json.encode(body)
        version = "anthropic-version: 2023-06-01\r\n" if self.dialect == "anthropic" else ""
        head = (
            f"POST {prefix}{PATHS[self.dialect]} HTTP/1.1\r\nhost: {host}\r\n"
            f"authorization: Bearer {key}\r\n{version}accept: application/json\r\n"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content

    def problem(self, body: bytes) -> str:
        """What is wrong with the body of a 200, or nothing."""
        if not self.stream:
            return self._json_problem(body)
        # A stand-alone `error` is a failure after the first byte; the status can't tell any more.
        if b'data: {"error"' in body or b"event: error" in body:
            return "error_event"
        if not body[-64:].replace(b'": ', b'":').endswith(STREAM_END[self.dialect]):
            return "stream_without_end"
        if body.count(STREAM_PIECE[self.dialect]) < self.pieces:
            return "text_missing"
        return ""

    def _json_problem(self, body: bytes) -> str:
        try:
            answer = msgspec.json.decode(body)
            if self.dialect == "openai":
                text: Any = answer["choices"][0]["message"]["content"]
            else:
                text = answer["content"][0]["text"]
        except (msgspec.DecodeError, LookupError, TypeError):
            return "not_an_answer"
        return "" if isinstance(text, str) and text else "text_missing"


@dataclass(slots=True)
class Outcome:
    """One request's end, in seconds of the monotonic clock; `failure` is empty when right."""

    status: int
    failure: str
    started: float
    first_data: float
    ended: float


class Connection(asyncio.Protocol):
    """One connection with at most one open request."""

    def __init__(self, wanted: Wanted, request: bytes) -> None:
        self._wanted = wanted
        self._request = request
        self._answered: asyncio.Future[Outcome] | None = None
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._needed = 0
        self._body_start = 0
        self._status = 0
        self._chunked = False
        self._must_close = False
        self._started = 0.0
        self._first_data = 0.0

    @property
    def usable(self) -> bool:
        """Whether another request may be sent on it."""
        return self._transport is not None and not self._must_close

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; asyncio hands it over once."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """A connection that ends before its answer is a failure of that request."""
        self._transport = None
        if self._answered is not None:
            self._finish("cut")

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def ask(self) -> asyncio.Future[Outcome]:
        """Send the request; the future always gets an outcome, also when the server hangs up."""
        answered = self._answered = asyncio.get_running_loop().create_future()
        self._parts, self._size, self._needed, self._body_start = [], 0, 0, 0
        self._first_data = 0.0
        self._started = time.monotonic()
        if self._transport is None:
            self._finish("cut")
        else:
            self._transport.write(self._request)
        return answered

    def data_received(self, data: bytes) -> None:
        """Collect the answer, and finish the request when its last byte is here."""
        if self._answered is None:
            # Bytes that nobody asked for: the next answer could not be told from them.
            self._must_close = True
            return
        self._parts.append(data)
        self._size += len(data)
        if not self._body_start and not self._read_head():
            return
        if not self._first_data and self._size > self._body_start:
            self._first_data = time.monotonic()
        if self._chunked:
            # Only a chunk boundary can end with these bytes: JSON and SSE bodies hold no CR.
            if data.endswith(LAST_CHUNK) or (len(data) < 7 and self._ends_with_last_chunk()):
                self._finish_with_body(_dechunk(b"".join(self._parts), self._body_start))
        elif self._size >= self._needed:
            self._finish_with_body(b"".join(self._parts)[self._body_start :])

    def _ends_with_last_chunk(self) -> bool:
        return b"".join(self._parts[-8:]).endswith(LAST_CHUNK)

    def _read_head(self) -> bool:
        """Parse the head once it is complete."""
        buffer = b"".join(self._parts)
        self._parts = [buffer]
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = buffer[: end + 2].lower()
        self._body_start = end + 4
        self._status = int(head[9:12])
        self._must_close = b"\r\nconnection: close\r\n" in head
        self._chunked = b"\r\ntransfer-encoding: chunked\r\n" in head
        at = head.find(b"\r\ncontent-length:")
        if at >= 0:
            self._needed = end + 4 + int(head[at + 17 : head.index(b"\r\n", at + 2)])
        elif not self._chunked:
            # An answer that ends with its connection can't be told from one that was cut.
            self._must_close = True
            self._finish("bad_framing")
            return False
        return True

    def _finish_with_body(self, body: bytes | None) -> None:
        if body is None:
            self._finish("bad_framing")
        elif self._status != 200:
            self._finish("status")
        else:
            ended = time.monotonic()
            self._finish(self._wanted.problem(body), ended)

    def _finish(self, failure: str, ended: float = 0.0) -> None:
        answered, self._answered = self._answered, None
        ended = ended or time.monotonic()
        status = self._status if self._body_start else 0
        outcome = Outcome(status, failure, self._started, self._first_data or ended, ended)
        if answered is not None and not answered.done():
            answered.set_result(outcome)


def _dechunk(data: bytes, at: int) -> bytes | None:
    """Join the chunks from `at` to the very end; None when they don't fit the bytes exactly."""
    parts: list[bytes] = []
    while True:
        line_end = data.find(b"\r\n", at)
        try:
            size = int(data[at:line_end], 16)
        except ValueError:
            return None
        at = line_end + 2 + size
        if data[at : at + 2] != b"\r\n":
            return None
        if size == 0:
            return b"".join(parts) if at + 2 == len(data) else None
        parts.append(data[line_end + 2 : at])
        at += 2
