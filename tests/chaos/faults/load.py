"""Callers of an alias: JSON and streams mixed, and what each of them was told.

They run in a thread of their own, so that a test can change things meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.loop import run
from tests.chaos.callers import chat_request, read_chunks

_DONE = b"data: [DONE]\n\n"
HUNG_UP = "hung up"
_HANGUP_SECONDS = 0.2
_REST_SECONDS = 0.02
"""After an error; a caller that comes back at once would only measure how fast errors are made."""


@dataclass(kw_only=True)
class Told:
    """One call as its caller saw it.

    Attributes:
        began, ended: on the monotonic clock.
        status: 0 when no head came.
        whole: the answer came to its end, and is an answer.
        finished: something of it said that it was complete.
        error: the code of an error, in the answer or as an event.
    """

    model: str
    streamed: bool
    began: float
    ended: float = 0.0
    status: int = 0
    request_id: str = ""
    provider: str = ""
    text: str = ""
    whole: bool = False
    finished: bool = False
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is asked.

    Attributes:
        models: one is drawn for each call.
        streams: the share of streams.
        hangups: the share of calls whose caller hangs up at a random moment.
        until: ends the load when it says so, before its number of calls.
    """

    port: int
    key: str
    models: Sequence[str]
    calls: int
    parallel: int
    seed: int
    streams: float = 0.5
    hangups: float = 0.0
    until: Callable[[], bool] = lambda: False


@dataclass
class Callers:
    """A load under way; `join` for what was told."""

    load: Load
    told: list[Told] = field(default_factory=list)
    began: float = 0.0
    seconds: float = 0.0
    _taken: int = 0
    _thread: threading.Thread | None = None
    _error: BaseException | None = None

    def start(self) -> Callers:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="callers", daemon=True)
        self._thread.start()
        return self

    def join(self, seconds: float = 900.0) -> list[Told]:
        """Wait for the end; every call."""
        assert self._thread is not None
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the callers did not come to an end"
        if self._error is not None:
            raise self._error
        return self.told

    @property
    def ends(self) -> Counter[str]:
        """How the calls ended."""
        return Counter("ok" if told.whole else told.error or "cut" for told in self.told)

    def take(self) -> bool:
        """Claim one more call."""
        if self._taken >= self.load.calls or self.load.until():
            return False
        self._taken += 1
        return True

    def _run(self) -> None:
        self.began = time.monotonic()
        try:
            run(self._all())
        except BaseException as error:  # noqa: BLE001 -- it is raised again by `join`
            self._error = error
        self.seconds = time.monotonic() - self.began

    async def _all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self.load.parallel):
                group.create_task(_Caller(self, number).work())


def asked(load: Load) -> Callers:
    """Ask all of it, and wait for the end."""
    callers = Callers(load).start()
    callers.join()
    return callers


class _Caller:
    """One caller with one connection at a time."""

    def __init__(self, callers: Callers, number: int) -> None:
        self._callers = callers
        self._load = callers.load
        self._random = random.Random(f"{self._load.seed} {number}")
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def work(self) -> None:
        """Ask until the load is over."""
        try:
            while self._callers.take():
                told = Told(
                    model=self._random.choice(self._load.models),
                    streamed=self._random.random() < self._load.streams,
                    began=time.monotonic(),
                )
                try:
                    async with asyncio.timeout(self._patience()):
                        await self._ask(told)
                except TimeoutError:
                    told.error = HUNG_UP
                    self._hang_up()
                except (OSError, EOFError, asyncio.IncompleteReadError):
                    self._hang_up()
                told.ended = time.monotonic()
                self._callers.told.append(told)
                if not told.whole:
                    await asyncio.sleep(_REST_SECONDS)
        finally:
            self._hang_up()

    def _patience(self) -> float | None:
        if self._random.random() >= self._load.hangups:
            return None
        return self._random.random() * _HANGUP_SECONDS

    async def _ask(self, told: Told) -> None:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._load.port)
        reader, writer = self._streams
        writer.write(self._request(told))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        told.request_id = headers.get("x-request-id", "")
        told.provider = headers.get("x-torana-provider", "")
        told.status = int(head[9:12])
        if "content-length" in headers:
            body = await reader.readexactly(int(headers["content-length"]))
        else:
            body = await read_chunks(reader)
        if headers.get("connection") == "close":
            self._hang_up()
        (_read_stream if headers["content-type"].startswith("text/event") else _read)(told, body)

    def _request(self, told: Told) -> bytes:
        words = " ".join(["word"] * self._random.randint(3, 40))
        body = {
            "model": told.model,
            "messages": [{"role": "user", "content": words}],
            "max_tokens": self._random.randint(11, 60),
            "stream": told.streamed,
        }
        return chat_request(self._load.key, body)

    def _hang_up(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].transport.abort()


def _read(told: Told, body: bytes) -> None:
    answer = json.loads(body)
    if told.status != 200:
        told.error = str(answer["error"]["code"])
        return
    choice = answer["choices"][0]
    told.text = choice["message"]["content"]
    told.finished = choice["finish_reason"] is not None
    told.whole = told.finished and told.request_id in told.text


def _read_stream(told: Told, body: bytes) -> None:
    told.finished = _DONE in body
    for event in body.split(b"\n\n"):
        if not event.startswith(b"data: {"):
            continue
        data = json.loads(event[6:])
        if "error" in data:
            told.error = str(data["error"]["code"])
            continue
        for choice in data["choices"]:
            told.text += choice["delta"].get("content") or ""
            told.finished = told.finished or choice["finish_reason"] is not None
    told.whole = (
        told.finished and not told.error and body.endswith(_DONE) and told.request_id in told.text
    )
