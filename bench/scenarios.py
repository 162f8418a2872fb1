"""The loads of `make bench`, for the full and the quick run."""

from __future__ import annotations

from dataclasses import dataclass

from bench.client import Wanted
from bench.measure import Scenario

CHUNKS = 20
JSON = Wanted()
STREAM = Wanted(stream=True, pieces=CHUNKS)
MESSAGE = Wanted(dialect="anthropic")
MESSAGE_STREAM = Wanted(dialect="anthropic", stream=True, pieces=CHUNKS)
CLAUDE = "claude-sonnet-4-6"
# A stream of one second, and one of five: 20 pieces with pauses between them.
SHORT_PACE = {"latency_ms": 50.0, "chunk_ms": 50.0}
LONG_PACE = {"latency_ms": 250.0, "chunk_ms": 250.0}


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How long and how large a run is; `seconds` is for each short load."""

    name: str
    seconds: float
    reference_seconds: float
    streams: int
    soak_requests: int
    soak_seconds: float


FULL = Profile(
    name="full",
    seconds=8.0,
    reference_seconds=3.0,
    streams=1000,
    soak_requests=50_000,
    soak_seconds=100.0,
)
QUICK = Profile(
    name="quick",
    seconds=2.0,
    reference_seconds=1.0,
    streams=1000,
    soak_requests=5_000,
    soak_seconds=8.0,
)


def warm_up(seconds: float) -> list[Scenario]:
    """Loads that are not reported: pools filled, code paths imported, prices loaded."""
    return [
        Scenario(name="warm_json", title="", wanted=JSON, connections=8, seconds=seconds),
        Scenario(name="warm_stream", title="", wanted=STREAM, connections=8, seconds=seconds),
    ]


def basic(seconds: float) -> list[Scenario]:
    """JSON and streams at 1 and 32 connections, from an upstream that answers at once."""
    return [
        Scenario(
            name=f"{shape}_{connections}",
            title=title,
            wanted=wanted,
            connections=connections,
            seconds=seconds,
        )
        for shape, title, wanted in (
            ("json", "JSON chat", JSON),
            ("stream", f"stream of {CHUNKS} chunks", STREAM),
        )
        for connections in (1, 32)
    ]


def dialects(seconds: float) -> list[Scenario]:
    """Anthropic's dialect on both sides, and each dialect in with the other one out."""
    ways = (
        ("messages", "messages", MESSAGE, MESSAGE_STREAM, CLAUDE),
        ("to_anthropic", "chat translated to messages", JSON, STREAM, CLAUDE),
        ("to_openai", "messages translated to chat", MESSAGE, MESSAGE_STREAM, None),
    )
    return [
        Scenario(
            name=f"{shape}_{name}",
            title=f"{words}, {title}",
            wanted=wanted,
            connections=32,
            seconds=seconds,
            model=model,
        )
        for name, title, json, stream, model in ways
        for shape, words, wanted in (
            ("json", "JSON", json),
            ("stream", f"stream of {CHUNKS} chunks", stream),
        )
    ]


def hundred_streams(seconds: float) -> Scenario:
    """100 open streams at any time, for the time to the first token in a busy process."""
    return Scenario(
        name="streams_100",
        title="100 open streams of 1 s",
        wanted=STREAM,
        connections=100,
        seconds=seconds,
        ramp_seconds=1.0,
        behaviour=SHORT_PACE,
    )


def many_streams(streams: int) -> Scenario:
    """Streams of 5 s that are all open at once, each one once."""
    return Scenario(
        name="streams_many",
        title=f"{streams:,} open streams of 5 s",
        wanted=STREAM,
        connections=streams,
        requests=streams,
        ramp_seconds=min(2.0 * streams / 1000, 4.0),
        limit_seconds=60.0,
        behaviour=LONG_PACE,
    )


def soak(requests: int, seconds: float) -> Scenario:
    """Many requests in a row, for what stays in memory; cut off by time on a slow machine."""
    return Scenario(
        name="soak",
        title="JSON chat in a row",
        wanted=JSON,
        connections=32,
        requests=requests,
        seconds=seconds,
        limit_seconds=seconds + 30,
    )
