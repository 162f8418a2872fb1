"""Callers who ask at a steady pace whatever the answers do, and note how long each took.

A pace that does not wait for answers is what shows an outage: callers who wait for each other would
hardly call while it lasts.
"""

from __future__ import annotations

import http.client
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, cycle

from tests.chaos.callers import Seen

ANSWER_SECONDS = 30.0
_PARALLEL = 96
_DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What is asked of which process.

    Attributes:
        text: of the prompt; None makes each call another one.
        patience: seconds that the caller gives the call, where it says so.
    """

    port: int
    key: str
    model: str
    stream: bool = False
    text: str | None = None
    patience: float | None = None


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a caller was told, and when.

    Attributes:
        at: when it asked, on `time.monotonic()`.
        status: 0 when the connection broke.
    """

    ask: Ask
    at: float
    seconds: float
    status: int
    code: str = ""
    request_id: str = ""
    retry_after: str = ""
    cache: str = ""
    whole: bool = False

    def seen(self) -> Seen:
        """As the audit of the books takes it."""
        # A hit is no call of the provider's: it has a row of its own at no cost.
        return Seen(
            status=self.status,
            code=self.code,
            request_id=self.request_id if self.cache != "hit" else "",
            whole=self.whole,
            seconds=self.seconds,
        )


_numbers = count()


def call(ask: Ask) -> Told:
    """Make a call, and read its answer to the end."""
    text = f"call {next(_numbers)}" if ask.text is None else ask.text
    body: dict[str, object] = {
        "model": ask.model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 20,
    }
    if ask.stream:
        body["stream"] = True
    headers = {"authorization": f"Bearer {ask.key}", "content-type": "application/json"}
    if ask.patience is not None:
        headers["x-torana-timeout"] = str(ask.patience)
    connection = http.client.HTTPConnection("127.0.0.1", ask.port, timeout=ANSWER_SECONDS)
    began = time.monotonic()
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException):
        return Told(ask=ask, at=began, seconds=time.monotonic() - began, status=0)
    finally:
        connection.close()
    code = ""
    if response.status != 200:
        code = str(json.loads(content)["error"]["code"])
    return Told(
        ask=ask,
        at=began,
        seconds=time.monotonic() - began,
        status=response.status,
        code=code,
        request_id=response.headers.get("x-request-id", ""),
        retry_after=response.headers.get("retry-after", ""),
        cache=response.headers.get("x-torana-cache", ""),
        whole=response.status == 200 and _is_whole(content, stream=ask.stream),
    )


def _is_whole(content: bytes, *, stream: bool) -> bool:
    if stream:
        return content.endswith(_DONE) and b'data: {"error"' not in content
    return bool(json.loads(content)["usage"])


def get(port: int, path: str, key: str = "") -> tuple[int, bytes, float]:
    """The status and body of a GET, and how many seconds it took; status 0 without an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    began = time.monotonic()
    try:
        connection.request("GET", path, headers={"authorization": f"Bearer {key}"} if key else {})
        response = connection.getresponse()
        return response.status, response.read(), time.monotonic() - began
    except (OSError, http.client.HTTPException):
        return 0, b"", time.monotonic() - began
    finally:
        connection.close()


@dataclass
class Probe:
    """Calls at a steady pace; `told` grows while it runs."""

    told: list[Told] = field(default_factory=list)
    _marks: dict[str, float] = field(default_factory=dict)

    def mark(self, name: str) -> float:
        """Remember this moment under a name."""
        self._marks[name] = time.monotonic()
        return self._marks[name]

    def between(self, begin: str, end: str = "") -> list[Told]:
        """The calls that were made between two marks, in that order."""
        until = self._marks[end] if end else math.inf
        found = [told for told in self.told if self._marks[begin] <= told.at < until]
        return sorted(found, key=lambda told: told.at)

    def answered_since(self, moment: float, holds: Callable[[Told], bool]) -> int:
        """How many calls that were made after a moment have been answered so."""
        return sum(1 for told in list(self.told) if told.at >= moment and holds(told))


@contextmanager
def probing(asks: Sequence[Ask], *, pause: float = 0.04) -> Iterator[Probe]:
    """Call at a steady pace, one of `asks` after another, until the end of the block.

    Each call is answered when the block has been left.

    Args:
        asks: what is asked in turn.
        pause: seconds from one call to the next.
    """
    probe, stopping = Probe(), threading.Event()
    calls: list[Future[None]] = []

    def ask_one(ask: Ask) -> None:
        probe.told.append(call(ask))

    def ask_on() -> None:
        for ask in cycle(asks):
            if stopping.wait(pause):
                return
            calls.append(pool.submit(ask_one, ask))

    with ThreadPoolExecutor(_PARALLEL) as pool:
        pacer = threading.Thread(target=ask_on, name="pacer", daemon=True)
        pacer.start()
        try:
            yield probe
        finally:
            stopping.set()
            pacer.join(10)
    for made in calls:
        made.result(0)


def quantile(told: Sequence[Told], share: float) -> float:
    """The seconds that a share of calls took at most; zero of none."""
    ordered = sorted(one.seconds for one in told)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def summary(told: Sequence[Told]) -> str:
    """Statuses and times of calls, for a table."""
    ends = Counter(one.code or str(one.status) for one in told)
    kinds = ", ".join(f"{name} {number}" for name, number in sorted(ends.items()))
    times = "/".join(f"{quantile(told, share) * 1000:.0f}" for share in (0.5, 0.99, 1.0))
    return f"{kinds}; p50/p99/max {times} ms"
