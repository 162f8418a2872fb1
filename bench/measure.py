"""Carrying out one load against one target, and what the processes involved used meanwhile.

CPU is read as a difference of utime + stime around the load; the driver runs in its own process,
so that nothing of it is counted as the target's.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import psutil

from bench.client import Wanted
from bench.driver import Result
from bench.processes import BenchError, Use, use

SAMPLE_SECONDS = 0.1
SPARE_SECONDS = 15.0
REPOSITORY = Path(__file__).resolve().parent.parent

Processes = Callable[[], Sequence[psutil.Process]]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One load, and how the upstream behaves under it.

    `behaviour` goes to the simulator as it is; `limit_seconds` bounds the load; `model` is asked
    for instead of the target's, where the load depends on who serves it.
    """

    name: str
    title: str
    wanted: Wanted
    connections: int
    seconds: float | None = None
    requests: int | None = None
    ramp_seconds: float = 0.0
    limit_seconds: float = 60.0
    behaviour: Mapping[str, float] = field(default_factory=dict)
    model: str | None = None


@dataclass(frozen=True, kw_only=True)
class Target:
    """A server to measure.

    `roles` finds its processes by what they do, and the figure is that of `main`. Its answers
    must come from the simulator, which counts them.
    """

    name: str
    url: str
    key: str
    main: str
    roles: Mapping[str, Processes]
    model: str = "gpt-4o-mini"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What came out; CPU in milliseconds for each right answer, memory in 10^6 bytes.

    `rss_peak_mb` is the largest process of the main role at any time of the load.
    `upstream_calls` is how many calls the simulator has served meanwhile.
    """

    target: str
    scenario: str
    title: str
    connections: int
    result: Result
    cpu_ms: Mapping[str, float]
    main_cpu_ms: float | None
    rss_start_mb: float
    rss_middle_mb: float
    rss_end_mb: float
    rss_peak_mb: float
    restarted: bool
    upstream_calls: int

    @property
    def right(self) -> bool:
        """Whether the load was what it claims to be and every answer was right."""
        return not self.trouble

    @property
    def trouble(self) -> str:
        """What was wrong, in a few words."""
        words = [f"{name} {count}" for name, count in self.result.failures.items()]
        words += [f"HTTP {code}" for code in self.result.statuses if code != "200"]
        words += ["no answer"] * (not self.result.ok)
        words += ["timed out"] * self.result.timed_out + ["process restarted"] * self.restarted
        if self.result.peak_open < self.connections:
            words.append(f"only {self.result.peak_open} at once")
        if self.upstream_calls < self.result.ok:
            words.append(f"only {self.upstream_calls} calls upstream")
        return ", ".join(words)


def measure(target: Target, scenario: Scenario, upstream_url: str) -> Measurement:
    """Run a scenario against a target.

    Raises:
        BenchError: When the driver itself fails.
    """
    set_behaviour(upstream_url, scenario.behaviour)
    calls = _upstream_calls(upstream_url)
    before = _uses(target)
    samples: list[Use] = []
    result = _drive(target, scenario, lambda: samples.append(use(target.roles[target.main]())))
    after = _uses(target)
    answers = max(result.ok, 1)
    cpu = {
        role: round((after[role].cpu_seconds - before[role].cpu_seconds) / answers * 1000, 4)
        for role in after
    }
    start, end = before[target.main], after[target.main]
    middle = samples[len(samples) // 2] if samples else end
    peak = max([start.largest_rss, end.largest_rss, *(sample.largest_rss for sample in samples)])
    return Measurement(
        target=target.name,
        scenario=scenario.name,
        title=scenario.title,
        connections=scenario.connections,
        result=result,
        cpu_ms=cpu,
        main_cpu_ms=cpu[target.main] if start.pids and result.ok else None,
        rss_start_mb=_megabytes(start.largest_rss),
        rss_middle_mb=_megabytes(middle.largest_rss),
        rss_end_mb=_megabytes(end.largest_rss),
        rss_peak_mb=_megabytes(peak),
        restarted=start.pids != end.pids,
        upstream_calls=_upstream_calls(upstream_url) - calls,
    )


def set_behaviour(upstream_url: str, behaviour: Mapping[str, float]) -> None:
    """Tell the simulator how to behave from now on; what is absent gets its default."""
    _simulator(upstream_url, "POST", "/_behaviour", json.dumps(dict(behaviour)))


def _upstream_calls(upstream_url: str) -> int:
    completed: int = upstream_account(upstream_url)["totals"]["completed"]
    return completed


def upstream_account(upstream_url: str) -> dict[str, Any]:
    """The simulator's books."""
    account: dict[str, Any] = _simulator(upstream_url, "GET", "/_account")
    return account


def _simulator(url: str, method: str, path: str, body: str | None = None) -> Any:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise BenchError(f"the simulator answered {method} {path} with {response.status}")
    return json.loads(content)


def _uses(target: Target) -> dict[str, Use]:
    return {role: use(find()) for role, find in target.roles.items()}


def _megabytes(size: int) -> float:
    return round(size / 1_000_000, 1)


def _drive(target: Target, scenario: Scenario, sample: Callable[[], None]) -> Result:
    """Run the driver in its own process; call `sample` every now and then until it ends."""
    limit = scenario.limit_seconds
    arguments = [
        *(sys.executable, "-m", "bench.driver", "--url", target.url),
        *("--model", scenario.model or target.model),
        *("--dialect", scenario.wanted.dialect, "--pieces", str(scenario.wanted.pieces)),
        *("--connections", str(scenario.connections), "--ramp", str(scenario.ramp_seconds)),
        *("--limit", str(limit)),
    ]
    if scenario.wanted.stream:
        arguments.append("--stream")
    if scenario.requests is not None:
        arguments += ["--requests", str(scenario.requests)]
    if scenario.seconds is not None:
        arguments += ["--seconds", str(scenario.seconds)]
    # The key goes by environment: command lines can be read by every user.
    environment = {"PATH": os.defpath, "BENCH_KEY": target.key}
    with subprocess.Popen(
        arguments, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True
    ) as driver:
        try:
            deadline = time.monotonic() + limit + SPARE_SECONDS
            while driver.poll() is None:
                if time.monotonic() > deadline:
                    raise BenchError(f"the driver did not end within {limit + SPARE_SECONDS:g} s")
                sample()
                time.sleep(SAMPLE_SECONDS)
            output = driver.stdout.read() if driver.stdout else ""
        finally:
            driver.kill()
    try:
        return msgspec.json.decode(output, type=Result)
    except msgspec.DecodeError as error:
        raise BenchError(f"the driver ended with {driver.returncode} and no result") from error
