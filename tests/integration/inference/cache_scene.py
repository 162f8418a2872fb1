"""A real Redis that can be killed, stopped and filled, and calls that enter the cache."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from pydantic import SecretStr

from torana.auth.principal import Principal
from torana.coordination import SharedRedis, open_redis
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.inference.cache import AnswerCache, Hit, Lead
from torana.inference.cache_store import Redis
from torana.inference.caller import CallContext, CallerLink, NoLink
from torana.inference.idempotency import StoredAnswer
from torana.processes.redis import prepare_redis
from torana.routing.routes import CacheTerms

SECONDS = 20.0
TERMS = CacheTerms(seconds=300)
PRINCIPAL = Principal(
    key_id="key_1",
    key_name="k",
    project_id="proj_1",
    project_name="p",
    organisation_id="org_1",
    organisation_name="o",
    user_id=None,
    account_ids=("bal_1",),
)
ANSWER = StoredAnswer(b'{"the":"answer"}', {"x-torana-provider": "fake"}, streamed=False)


class RedisServer:
    """The embedded Redis as a child of the test."""

    def __init__(self, folder: Path) -> None:
        self._made = prepare_redis(folder, folder / "run")
        self.url = self._made.url
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        program, config = str(self._made.program.path), str(self._made.config)
        self._process = subprocess.Popen(
            [program, config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        eventually(self._made.answers)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Without a word, and everything that was kept is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(SECONDS)
            self._process = None
        for path in self._made.folder.rglob("*"):
            if path.is_file():
                path.unlink()


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    server = RedisServer(folder)
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def shared_redis(url: str) -> Iterator[SharedRedis]:
    shared = open_redis(url)
    try:
        yield shared
    finally:
        shared.close()


def a_cache(redis: Redis | None, secret: str = "s" * 32) -> AnswerCache:
    """The cache of one process."""
    return AnswerCache(redis, [SecretStr(secret)])


def context(link: CallerLink | None = None, **principal: Any) -> CallContext:
    return CallContext(
        request_id="req_1",
        principal=msgspec.structs.replace(PRINCIPAL, **principal),
        received_at=time.monotonic(),
        link=link or NoLink(),
    )


def key_of(
    cache: AnswerCache,
    terms: CacheTerms = TERMS,
    body: bytes = b'{"model":"m","messages":[]}',
    revision: str = "r",
    **principal: Any,
) -> str:
    request = OPENAI_CHAT.decode_request(body)
    return cache.key(OPENAI_CHAT, request, context(**principal), terms, revision=revision)


def enter(
    cache: AnswerCache,
    key: str = "k" * 64,
    terms: CacheTerms = TERMS,
    *,
    link: CallerLink | None = None,
    seconds: float = SECONDS,
    stopping: Callable[[], bool] = lambda: False,
) -> Hit | Lead:
    until = time.monotonic() + seconds
    return cache.enter(key, terms, context(link), until=until, stopping=stopping)


def leads(turn: Hit | Lead) -> Lead:
    assert isinstance(turn, Lead), turn
    return turn


def hits(turn: Hit | Lead, answer: StoredAnswer = ANSWER) -> None:
    assert turn == Hit(answer)


def eventually(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


class Caller(threading.Thread):
    """One call in a thread of its own: what it got, or what it raised.

    Args:
        cache: that it enters.
        make: what a leader does with its lead; `leave` comes after it in any case.
    """

    def __init__(
        self, cache: AnswerCache, make: Callable[[Lead], object] = lambda _: None, **entering: Any
    ) -> None:
        super().__init__(daemon=True)
        self._cache = cache
        self._make = make
        self._entering = entering
        self.turn: Hit | Lead | None = None
        self.error: BaseException | None = None
        self.seconds = 0.0
        self.start()

    def run(self) -> None:
        began = time.monotonic()
        try:
            self.turn = enter(self._cache, **self._entering)
        except BaseException as error:  # noqa: BLE001 -- looked at by the test
            self.error = error
        self.seconds = time.monotonic() - began
        if isinstance(self.turn, Lead):
            try:
                self._make(self.turn)
            finally:
                self.turn.leave()

    def ended(self) -> Caller:
        self.join(SECONDS)
        assert not self.is_alive(), "a call waits for ever"
        return self

    @property
    def has_led(self) -> bool:
        return isinstance(self.turn, Lead)


class Link(CallerLink):
    """A caller that hangs up when it is told to."""

    def __init__(self) -> None:
        self._gone = False
        self._told: Callable[[float], None] | None = None

    def gone(self) -> bool:
        return self._gone

    def watch(self, hung_up: Callable[[float], None]) -> Callable[[], None]:
        self._told = hung_up
        return self._unwatch

    @property
    def watched(self) -> bool:
        return self._told is not None

    def hang_up(self) -> None:
        self._gone = True
        if self._told is not None:
            self._told(0.0)

    def _unwatch(self) -> None:
        self._told = None
