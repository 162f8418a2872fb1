"""The simulator's answers as bytes that are built once and reused.

An answer is the same for every call of a kind but for its number, so a template holds a
placeholder of the same length and a call costs one `bytes.replace`. This module must not know about
sockets or time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from bench.sim.chat_shapes import chat_frames, chat_json
from bench.sim.embedding_shapes import embeddings_json
from bench.sim.kinds import Dialect, Kind
from bench.sim.message_shapes import message_frames, message_json
from bench.sim.response_shapes import response_frames, response_json

NUMBER_PLACEHOLDER = b"SIM-CALL-NUMBER-PLACEHLD"
CACHED_TEMPLATES = 512


class Shape(NamedTuple):
    """How a dialect's answers look.

    `prefix` makes the answer's id of the call's number; `frames` are the events of a stream,
    grouped as they are paced, and embeddings have none.
    """

    prefix: str
    request_id: str
    body: Callable[[Kind, str], dict[str, object]]
    frames: Callable[[Kind, str], list[list[bytes]]] | None


SHAPES: dict[Dialect, Shape] = {
    "openai": Shape("chatcmpl-", "x-request-id", chat_json, chat_frames),
    "anthropic": Shape("msg_", "request-id", message_json, message_frames),
    "responses": Shape("resp_", "x-request-id", response_json, response_frames),
    # An answer of vectors has no id: the journal calls it by the one of its request.
    "embeddings": Shape("req_", "x-request-id", embeddings_json, None),
}


class Template(NamedTuple):
    """One answer: `frames` for a paced stream, `whole` when everything is written at once."""

    frames: tuple[bytes, ...]
    whole: bytes


def http_head(status: str, headers: str, length: int | None) -> bytes:
    """A response head; without a `length` the body comes in chunks."""
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    return f"HTTP/1.1 {status}\r\n{headers}\r\n{framing}\r\n\r\n".encode()


def json_response(status: str, body: object) -> bytes:
    """A whole JSON answer outside the model routes."""
    content = msgspec.json.encode(body)
    return http_head(status, "content-type: application/json", len(content)) + content


class Answers:
    """Builds templates, and keeps the ones that were used."""

    def __init__(self) -> None:
        self._templates: dict[Kind, Template] = {}

    def template(self, kind: Kind) -> Template:
        """The template of a kind of answer; a stream of unseen kinds empties the store."""
        template = self._templates.get(kind)
        if template is None:
            if len(self._templates) >= CACHED_TEMPLATES:
                self._templates.clear()
            template = self._templates[kind] = _build(kind)
        return template


def _build(kind: Kind) -> Template:
    number = NUMBER_PLACEHOLDER.decode()
    shape = SHAPES[kind.dialect]
    request_id = f"{shape.request_id}: req_{number}"
    if not kind.stream or shape.frames is None:
        content = msgspec.json.encode(shape.body(kind, number))
        headers = f"content-type: application/json\r\n{request_id}"
        whole = http_head("200 OK", headers, len(content)) + content
        return Template((whole,), whole)
    headers = (
        f"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n{request_id}"
    )
    head, tail = http_head("200 OK", headers, None), b"0\r\n\r\n"
    groups = [b"".join(_chunked(event) for event in group) for group in shape.frames(kind, number)]
    groups[0] = head + groups[0]
    groups[-1] += tail
    return Template(tuple(groups), b"".join(groups))


def _chunked(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)
