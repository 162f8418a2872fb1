"""A provider that answers well or wildly, as the model's name says; what it does follows from the
request's bytes, so that a failure can be played again.
"""

from __future__ import annotations

import json
import random
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from tests.contract.fake_upstream import FakeUpstream, Turn
from tests.fuzz.answers import ENDS_WITH_DONE, STREAMS, WHOLE, frame
from tests.fuzz.mutations import JUNK, broken, mutated, written

SANE, INSANE = "fuzz-sane", "fuzz-insane"
_MODEL = re.compile(rb'"model":\s*"([^"]*)"')
_STREAM = re.compile(rb'"stream":\s*true')
_ROUTES = {
    "/chat/completions": "chat",
    "/completions": "completions",
    "/messages": "messages",
    "/responses": "responses",
    "/embeddings": "embeddings",
}
_STATUSES = (
    200,
    201,
    202,
    204,
    302,
    400,
    401,
    402,
    403,
    404,
    409,
    413,
    418,
    422,
    429,
    500,
    503,
    529,
)


class WildUpstream(FakeUpstream):
    """The server. It keeps nothing of what it was sent, which may be large."""

    def play(self, turn: Turn) -> None:
        """Answer a call."""
        body = turn.request.body
        model, is_stream = _asked(body)
        route = next(
            (name for end, name in _ROUTES.items() if turn.request.path.endswith(end)), None
        )
        if route is None:
            turn.reply({"error": {"message": "no such route"}}, 404)
            return
        stream = is_stream and route in STREAMS
        if model == INSANE.encode():
            dice = random.Random(zlib.crc32(body))
            dice.choice(_WILD_STREAMS if stream else _WILD_ANSWERS)(turn, route, dice)
        elif stream:
            turn.begin_stream()
            _send(turn, b"".join(_frames(route)))
            turn.write(b"0\r\n\r\n")
        else:
            turn.reply(WHOLE[route])


@contextmanager
def wild_upstream() -> Iterator[WildUpstream]:
    """A running one."""
    upstream = WildUpstream()
    upstream.start()
    try:
        yield upstream
    finally:
        upstream.stop()


def _asked(body: bytes) -> tuple[bytes, bool]:
    """The model, and whether a stream is wanted; half characters keep no one from telling."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = _MODEL.search(body)
        return (found[1] if found else b""), _STREAM.search(body) is not None
    model = bytes(fields.get("model", msgspec.Raw(b"null"))).strip(b'"')
    return model, bytes(fields.get("stream", msgspec.Raw(b"null"))) == b"true"


def _send(turn: Turn, data: bytes) -> None:
    if data:
        turn.write(b"%x\r\n%b\r\n" % (len(data), data))


def _frames(route: str) -> list[bytes]:
    made = [frame(route, event, written(event)) for event in STREAMS[route]]
    return made + ([b"data: [DONE]\n\n"] if route in ENDS_WITH_DONE else [])


# --- whole answers -----------------------------------------------------------------------------

Wild = Callable[[Turn, str, random.Random], None]


def _mutated_answer(turn: Turn, route: str, dice: random.Random) -> None:
    turn.reply(written(mutated(WHOLE[route], dice, times=dice.choice((1, 1, 2, 4)))))


def _broken_answer(turn: Turn, route: str, dice: random.Random) -> None:
    turn.reply(broken(written(WHOLE[route]), dice))


def _junk_answer(turn: Turn, _route: str, dice: random.Random) -> None:
    turn.reply(written(dice.choice(JUNK)))


def _other_answer(turn: Turn, _route: str, dice: random.Random) -> None:
    turn.reply(WHOLE[dice.choice(list(WHOLE))])


def _short_answer(turn: Turn, route: str, dice: random.Random) -> None:
    data = written(WHOLE[route])
    turn.head(content_type="application/json", content_length=str(len(data) + 10))
    turn.write(data[: dice.randrange(len(data))])
    turn.cut()


def _status(turn: Turn, route: str, dice: random.Random) -> None:
    error: Any = {"error": {"message": "no", "type": "t", "param": "p", "code": 7}}
    if route == "messages":
        error = {"type": "error", "error": {"type": "overloaded_error", "message": "no"}}
    body = written(mutated(error, dice, times=dice.choice((0, 1, 2))))
    status = dice.choice(_STATUSES)
    if status == 204:
        turn.head(204)
        return
    turn.reply(body if dice.random() < 0.8 else b"<html>", status, retry_after="0")


def _no_http(turn: Turn, _route: str, dice: random.Random) -> None:
    lines = (
        b"HTTP/1.1 abc\r\n\r\n",
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 70_000 + b"\r\n\r\n",
        b"\0" * 100,
        b"",
    )
    turn.write(dice.choice(lines))
    turn.cut()


_WILD_ANSWERS: tuple[Wild, ...] = (
    *(_mutated_answer, _mutated_answer, _mutated_answer, _broken_answer, _junk_answer),
    *(_other_answer, _short_answer, _status, _no_http),
)

# --- streams -----------------------------------------------------------------------------------


def _mutated_stream(turn: Turn, route: str, dice: random.Random) -> None:
    events = list(STREAMS[route])
    for _ in range(dice.choice((1, 1, 2, 5))):
        at = dice.randrange(len(events))
        kind = dice.randrange(5)
        if kind == 0 and len(events) > 1:
            del events[at]
        elif kind == 1:
            events.insert(dice.randrange(len(events)), events[at])
        else:
            events[at] = mutated(events[at], dice, times=dice.choice((1, 2)))
    data = b"".join(frame(route, event, written(event)) for event in events)
    data += b"data: [DONE]\n\n" if route in ENDS_WITH_DONE and dice.random() < 0.9 else b""
    _in_pieces(turn, data, dice)
    turn.write(b"0\r\n\r\n")


def _in_pieces(turn: Turn, data: bytes, dice: random.Random) -> None:
    size = dice.choice((len(data), len(data), 1_000, 37))
    for start in range(0, len(data), max(size, 1)):
        _send(turn, data[start : start + size])


def _broken_stream(turn: Turn, route: str, dice: random.Random) -> None:
    turn.begin_stream()
    _in_pieces(turn, broken(b"".join(_frames(route)), dice), dice)
    turn.write(b"0\r\n\r\n")


def _cut_stream(turn: Turn, route: str, dice: random.Random) -> None:
    turn.begin_stream()
    data = b"".join(_frames(route))
    _send(turn, data[: dice.randrange(len(data))])
    turn.cut()


def _endless_frame(turn: Turn, _route: str, _dice: random.Random) -> None:
    turn.begin_stream()
    piece = b"data: " + b"x" * 1_000_000
    for _ in range(10):
        _send(turn, piece)
    turn.write(b"0\r\n\r\n")


def _no_frames(turn: Turn, _route: str, dice: random.Random) -> None:
    turn.begin_stream()
    lines = (b"\n", b"\r\n\r\n", b"data\n\n", b"data:\n\n", b": x\n\n", b"\0\n\n", b"event: x\n\n")
    _send(turn, b"".join(dice.choice(lines) for _ in range(200)))
    turn.write(b"0\r\n\r\n")


def _with_head(play: Wild) -> Wild:
    def wild(turn: Turn, route: str, dice: random.Random) -> None:
        turn.begin_stream()
        play(turn, route, dice)

    return wild


_WILD_STREAMS: tuple[Wild, ...] = (
    *(_with_head(_mutated_stream),) * 6,
    *(_broken_stream, _broken_stream, _cut_stream, _endless_frame, _no_frames),
    *(_mutated_answer, _status, _no_http),
)


def json_of(value: Any) -> bytes:
    """A body without spaces, as the SDKs write it."""
    return json.dumps(value, separators=(",", ":")).encode()
