"""Callers: many keep-alive connections that ask for JSON and streams, and hang up as they please.

They run in a thread of their own, so that a test can break things meanwhile. The load ends by
itself: with its number of calls, or when its time is over. Only loopback is called.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.loop import run

_DONE = b"data: [DONE]\n\n"
_PAUSE_SECONDS = {0: 0.05, 503: 0.05, 429: 0.004}
_WORDS = ("a", "call", "has", "its", "price", "and", "a", "budget", "has", "its", "limit")


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is asked, of whom, and until when.

    Attributes:
        ports: the callers spread over them.
        models: one is drawn for each call; name one twice to have it twice as often.
        seed: of all that is drawn.
        hangups: the share of calls whose caller hangs up at a random moment.
        seconds: after so long no new call begins.
    """

    ports: Sequence[int]
    key: str
    models: Sequence[str]
    calls: int
    parallel: int
    seed: int = 1
    hangups: float = 0.0
    hangup_seconds: float = 0.08
    seconds: float = 600.0


@dataclass(kw_only=True)
class Seen:
    """One call as its caller saw it; `status` is 0 when no head came, or the connection broke."""

    status: int = 0
    code: str = ""
    message: str = ""
    request_id: str = ""
    whole: bool = False
    hung_up: bool = False
    seconds: float = 0.0


@dataclass
class Callers:
    """A load under way; `join` for what was seen."""

    load: Load
    seen: list[Seen] = field(default_factory=list)
    began: float = 0.0
    ended: float = 0.0
    _taken: int = 0
    _stopped: bool = False
    _thread: threading.Thread | None = None
    _error: BaseException | None = None

    def start(self) -> Callers:
        """Begin."""
        self.began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="callers", daemon=True)
        self._thread.start()
        return self

    @property
    def running(self) -> bool:
        """Whether there is more to come."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Begin no new call."""
        self._stopped = True

    def join(self) -> list[Seen]:
        """Wait for the end, and return every call."""
        assert self._thread is not None
        self._thread.join(self.load.seconds + 120)
        assert not self._thread.is_alive(), "the callers did not come to an end"
        if self._error is not None:
            raise self._error
        return self.seen

    @property
    def statuses(self) -> Counter[str]:
        """How the calls ended, by code for those that were refused."""
        return Counter(_name(call) for call in self.seen)

    def _run(self) -> None:
        try:
            run(self._all())
        except BaseException as error:  # noqa: BLE001 -- it is raised again by `join`
            self._error = error
        self.ended = time.monotonic()

    async def _all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self.load.parallel):
                group.create_task(_Caller(self, number).work())

    def take(self) -> bool:
        """Claim one more call."""
        if self._stopped or self._taken >= self.load.calls:
            return False
        if time.monotonic() - self.began > self.load.seconds:
            return False
        self._taken += 1
        return True


def _name(call: Seen) -> str:
    if call.hung_up:
        return "hung up"
    if call.status == 200:
        return "ok" if call.whole else "cut"
    return call.code or ("cut" if call.status == 0 else str(call.status))


class _Caller:
    """One caller with one connection at a time."""

    def __init__(self, callers: Callers, number: int) -> None:
        self._callers = callers
        self._load = callers.load
        self._port = self._load.ports[number % len(self._load.ports)]
        self._random = random.Random(f"{self._load.seed} {number}")
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def work(self) -> None:
        """Ask until the load is over."""
        try:
            while self._callers.take():
                call = Seen()
                began = time.monotonic()
                await self._ask(call)
                call.seconds = time.monotonic() - began
                self._callers.seen.append(call)
                if call.status in _PAUSE_SECONDS:
                    await asyncio.sleep(_PAUSE_SECONDS[call.status])
        finally:
            self._hang_up()

    async def _ask(self, call: Seen) -> None:
        patience = None
        if self._random.random() < self._load.hangups:
            patience = self._random.random() * self._load.hangup_seconds
        try:
            async with asyncio.timeout(patience):
                await self._exchange(call)
        except TimeoutError:
            call.hung_up = True
            self._hang_up()
        except (OSError, EOFError, asyncio.IncompleteReadError):
            call.whole = False
            if not call.status:
                call.code = ""
            self._hang_up()

    async def _exchange(self, call: Seen) -> None:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        stream = self._random.random() < 0.5
        writer.write(self._request(stream=stream))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        call.request_id = headers.get("x-request-id", "")
        status = int(head[9:12])
        if "content-length" in headers:
            body = await reader.readexactly(int(headers["content-length"]))
        else:
            body = await read_chunks(reader)
        call.status = status
        if status != 200:
            error = json.loads(body)["error"]
            call.code, call.message = str(error["code"]), str(error["message"])
        elif stream:
            call.whole = body.endswith(_DONE) and b'data: {"error"' not in body
        else:
            call.whole = bool(json.loads(body)["usage"])
        if headers.get("connection") == "close":
            self._hang_up()

    def _request(self, *, stream: bool) -> bytes:
        draw = self._random
        body = {
            "model": f"openai/{draw.choice(self._load.models)}",
            "messages": [
                {"role": "user", "content": " ".join(draw.choices(_WORDS, k=draw.randint(3, 40)))}
            ],
            "max_tokens": draw.randint(11, 60),
        }
        if stream:
            body["stream"] = True
        return chat_request(self._load.key, body)

    def _hang_up(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].transport.abort()


def chat_request(key: str, body: dict[str, Any]) -> bytes:
    """A chat completion as it goes over a connection that stays open."""
    content = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"authorization: Bearer {key}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    """A chunked body, to its end."""
    parts: list[bytes] = []
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16)
        part = await reader.readexactly(size + 2)
        if not size:
            return b"".join(parts)
        parts.append(part[:-2])
