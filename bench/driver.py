"""The load driver: N keep-alive connections, each asking again as soon as it was answered.

Run it as its own process, so that its work is not counted as the gateway's:

    python -m bench.driver --url http://127.0.0.1:8080 --key sk-... --connections 32 --seconds 10

It prints one JSON object: how many answers were right, what was wrong with the others, rate,
latency and time to first data in milliseconds. `--url` may hold a path in front of `/v1`. The load
is bounded: by `--requests` or `--seconds`, by `--limit` seconds in all, and it gives up when
nearly everything fails. Only loopback addresses are accepted.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import os
import sys
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit

from bench.client import Connection, Outcome, Wanted
from bench.loop import raise_file_limit, run
from bench.percentiles import Summary, summarize

CONNECT_SECONDS = 10.0
PAUSE_AFTER_FAILURE = 0.05
MOST_FAILURES = 200


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One load: where to, what, how many at once, and until when.

    `requests` and `seconds` both end it, whichever comes first; `ramp_seconds` spreads the
    starts of the connections; `limit_seconds` bounds the whole.
    """

    url: str
    wanted: Wanted
    key: str = "none"
    connections: int = 1
    requests: int | None = None
    seconds: float | None = None
    ramp_seconds: float = 0.0
    limit_seconds: float = 120.0

    def __post_init__(self) -> None:
        """Refuse a load without an end, and one that leaves this machine.

        Raises:
            ValueError: When the plan is such a load.
        """
        if self.requests is None and self.seconds is None:
            raise ValueError("a load needs an end: requests or seconds")
        if self.connections < 1:
            raise ValueError("a load needs a connection")
        host = urlsplit(self.url).hostname or ""
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            raise ValueError("the driver sends load to loopback addresses only")


@dataclass(kw_only=True)
class Result:
    """What a load came to; `requests` were answered or failed, `ok` were answered right.

    `driver_cpu_seconds` beside `seconds` tells whether the driver itself was the limit.
    """

    requests: int = 0
    ok: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    timed_out: bool = False
    seconds: float = 0.0
    rate: float = 0.0
    peak_open: int = 0
    latency_ms: Summary | None = None
    ttft_ms: Summary | None = None
    driver_cpu_seconds: float = 0.0


class Load:
    """A running plan and what it has measured so far."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        parts = urlsplit(plan.url)
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or 80
        self._request = plan.wanted.request(parts.netloc, parts.path.rstrip("/"), plan.key)
        self._latencies = array("d")
        self._first_data = array("d")
        self._statuses: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._taken = 0
        self._open = 0
        self._peak = 0
        self._first_start = 0.0
        self._last_end = 0.0
        self._deadline = float("inf")

    async def run(self) -> Result:
        """Carry the plan out."""
        plan = self.plan
        if plan.seconds is not None:
            self._deadline = time.monotonic() + plan.seconds
        cpu = time.process_time()
        timed_out = False
        try:
            async with asyncio.timeout(plan.limit_seconds), asyncio.TaskGroup() as group:
                for index in range(plan.connections):
                    delay = plan.ramp_seconds * index / plan.connections
                    group.create_task(self._keep_asking(delay))
        except TimeoutError:
            timed_out = True
        seconds = max(self._last_end - self._first_start, 1e-9)
        ok = len(self._latencies)
        return Result(
            requests=ok + self._failures.total(),
            ok=ok,
            statuses=dict(self._statuses),
            failures=dict(self._failures),
            timed_out=timed_out,
            seconds=round(seconds, 3),
            rate=round(ok / seconds, 1),
            peak_open=self._peak,
            latency_ms=summarize(self._latencies),
            ttft_ms=summarize(self._first_data) if plan.wanted.stream else None,
            driver_cpu_seconds=round(time.process_time() - cpu, 3),
        )

    def _take(self) -> bool:
        """Claim one more request, unless the plan has come to its end."""
        plan = self.plan
        failures = self._failures.total()
        if failures > MOST_FAILURES and failures > len(self._latencies):
            return False
        if plan.requests is not None and self._taken >= plan.requests:
            return False
        if time.monotonic() >= self._deadline:
            return False
        self._taken += 1
        return True

    async def _keep_asking(self, delay: float) -> None:
        await asyncio.sleep(delay)
        connection: Connection | None = None
        try:
            while self._take():
                if connection is None or not connection.usable:
                    if connection is not None:
                        connection.close()
                    connection = await self._connect()
                    if connection is None:
                        continue
                await self._ask(connection)
        finally:
            if connection is not None:
                connection.close()

    async def _connect(self) -> Connection | None:
        """Open a connection; None, after a pause, when the server does not take it."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await loop.create_connection(
                    lambda: Connection(self.plan.wanted, self._request), self._host, self._port
                )
        except OSError:
            self._failures["connect"] += 1
            await asyncio.sleep(PAUSE_AFTER_FAILURE)
            return None
        return connection

    async def _ask(self, connection: Connection) -> None:
        self._open += 1
        self._peak = max(self._peak, self._open)
        try:
            outcome = await connection.ask()
        except asyncio.CancelledError:
            self._failures["unfinished"] += 1
            raise
        finally:
            self._open -= 1
        self._record(outcome)
        if outcome.failure:
            await asyncio.sleep(PAUSE_AFTER_FAILURE)

    def _record(self, outcome: Outcome) -> None:
        if not self._first_start:
            self._first_start = outcome.started
        self._first_start = min(self._first_start, outcome.started)
        self._last_end = outcome.ended
        self._statuses[str(outcome.status)] += 1
        if outcome.failure:
            self._failures[outcome.failure] += 1
            return
        self._latencies.append(outcome.ended - outcome.started)
        self._first_data.append(outcome.first_data - outcome.started)


def _plan(arguments: Sequence[str] | None) -> Plan:
    parser = argparse.ArgumentParser(prog="python -m bench.driver", description="Closed-loop load.")
    parser.add_argument("--url", required=True, help="base URL, loopback only")
    # A key on the command line can be read by every user of the machine: see BENCH_KEY.
    parser.add_argument("--key", default=os.environ.get("BENCH_KEY", "none"))  # noqa: TID251
    parser.add_argument("--dialect", choices=["openai", "anthropic"], default="openai")
    parser.add_argument("--model", default="gpt-4o-mini")
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--pieces", type=int, default=1, help="least pieces of text in a stream")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--requests", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--ramp", type=float, default=0.0, help="seconds to start all connections")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for the whole load")
    options = parser.parse_args(arguments)
    wanted = Wanted(
        dialect=options.dialect, stream=options.stream, model=options.model, pieces=options.pieces
    )
    try:
        return Plan(
            url=options.url,
            wanted=wanted,
            key=options.key,
            connections=options.connections,
            requests=options.requests,
            seconds=options.seconds,
            ramp_seconds=options.ramp,
            limit_seconds=options.limit,
        )
    except ValueError as error:
        parser.error(str(error))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one load as a program; the exit status is 1 when an answer was not right."""
    plan = _plan(arguments)
    raise_file_limit()
    result = run(Load(plan).run())
    print(json.dumps(asdict(result)), flush=True)
    return 1 if result.failures or result.timed_out else 0


if __name__ == "__main__":
    sys.exit(main())
