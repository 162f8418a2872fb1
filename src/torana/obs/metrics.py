"""Prometheus metrics over all processes of a host (prometheus_client's multiprocess mode).

Label values come from bounded sets: a caller can invent model names, so only the first few hundred
keep their own label and the rest share `other`.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import msgspec

from torana.routing.breaker import Change
from torana.routing.health import State
from torana.settings import set_for_this_process

_LABEL_LIMIT = 300
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_SHORT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_STATES: dict[State, int] = {"closed": 0, "cooling": 1, "half_open": 2, "open": 3}
_CHANGES: dict[Change, State] = {"closed": "closed", "cooling": "cooling", "opened": "open"}


class CallFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one call that is over."""

    route: str
    model: str
    provider: str
    status: str
    error_code: str | None
    seconds: float
    first_byte_seconds: float | None
    input_tokens: int
    output_tokens: int
    cost_nano: int


class Metrics:
    """All metrics of a process. Make one per process, after forking, with `open_metrics`."""

    def __init__(self) -> None:
        # The library decides at import where its values live, so it is imported after that is set.
        from prometheus_client import Counter, Gauge, Histogram  # noqa: PLC0415

        call = ("route", "model", "provider")
        self._calls = Counter("torana_calls", "Calls by how they ended", (*call, "status"))
        self._errors = Counter("torana_errors", "Errors by public code", ("code",))
        self._seconds = Histogram(
            "torana_call_seconds", "From request to last byte", call, buckets=_SECONDS
        )
        self._first_byte = Histogram(
            "torana_first_byte_seconds",
            "From request to the provider's first byte",
            call,
            buckets=_SECONDS,
        )
        self._tokens = Counter("torana_tokens", "Tokens by class", (*call, "class"))
        self._cost = Counter("torana_cost_nano_dollars", "Cost of calls in nano-dollars", call)
        self._open = Gauge("torana_open_calls", "Calls under way", multiprocess_mode="livesum")
        self._batch_size = Histogram(
            "torana_ledger_batch_size", "Jobs settled by one transaction", buckets=_SIZES
        )
        self._batch_seconds = Histogram(
            "torana_ledger_batch_seconds", "Time of one transaction", buckets=_SHORT_SECONDS
        )
        self._wait_seconds = Histogram(
            "torana_ledger_wait_seconds", "Time a job waits to be settled", buckets=_SHORT_SECONDS
        )
        target = ("provider", "model")
        self._target_states = Gauge(
            "torana_target_state",
            "Targets: 0 closed, 1 cooling, 2 half-open, 3 open; the worst of all processes",
            target,
            multiprocess_mode="livemax",
        )
        self._attempts = Counter(
            "torana_attempts", "Attempts at targets by how they ended", (*target, "outcome")
        )
        self._retries = Counter(
            "torana_retries", "Attempts after the first of a call", ("provider", "reason")
        )
        self._refused_retries = Counter(
            "torana_retry_budget_exhausted", "Repeats that the retry budget refused", ("provider",)
        )
        self._transitions = Counter(
            "torana_breaker_transitions", "Changes of targets' states", ("provider", "to")
        )
        self._cache = Counter("torana_cache", "Calls by what the answer cache had", ("result",))
        self._redis_errors = Counter("torana_redis_errors", "Redis did not answer, or refused")
        self._guardrails = Counter(
            "torana_guardrail", "Prompts and answers that guardrails saw", ("guardrail", "outcome")
        )
        self._models: set[str] = set()
        self._target_models: set[str] = set()
        self._outcomes: set[str] = set()
        self._guardrail_names: set[str] = set()
        self._guardrail_outcomes: set[str] = set()
        self._codes: set[str] = set()
        self._children: dict[tuple[str, str, str, str], tuple[Any, ...]] = {}

    def call_opened(self) -> None:
        """A call was admitted."""
        self._open.inc()

    def call_settled(self, figures: CallFigures) -> None:
        """A call is over and on the ledger."""
        self._open.dec()
        calls, seconds, first_byte, into, out, cost = self._call_children(figures)
        calls.inc()
        seconds.observe(figures.seconds)
        if figures.first_byte_seconds is not None:
            first_byte.observe(figures.first_byte_seconds)
        if figures.input_tokens:
            into.inc(figures.input_tokens)
        if figures.output_tokens:
            out.inc(figures.output_tokens)
        if figures.cost_nano:
            cost.inc(figures.cost_nano)

    def error(self, code: str) -> None:
        """An error was told to a caller."""
        self._errors.labels(_bounded(code, self._codes)).inc()

    def batch(self, size: int, seconds: float) -> None:
        """The teller committed a batch."""
        self._batch_size.observe(size)
        self._batch_seconds.observe(seconds)

    def wait(self, seconds: float) -> None:
        """A job was settled by the teller after so long."""
        self._wait_seconds.observe(seconds)

    def target_state(self, provider: str, model: str, state: State) -> None:
        """A target's state as this process sees it."""
        label = _bounded(model, self._target_models)
        if label == model:
            # Of all that share `other`, the last one told would look like all of them.
            self._target_states.labels(provider, model).set(_STATES[state])

    def breaker_transition(self, provider: str, to: Change) -> None:
        """This process has changed a target's state; those that hear of it do not count it."""
        self._transitions.labels(provider, _CHANGES[to]).inc()

    def attempt(self, provider: str, model: str, outcome: str) -> None:
        """An attempt has ended, `ok` or with the code of an error."""
        model = _bounded(model, self._target_models)
        self._attempts.labels(provider, model, _bounded(outcome, self._outcomes)).inc()

    def retry(self, provider: str, reason: Literal["repeat", "fallback", "other_key"]) -> None:
        """A call is sent once more, to `provider`."""
        self._retries.labels(provider, reason).inc()

    def retry_refused(self, provider: str) -> None:
        """A call is not repeated, because the target's retry budget is used up."""
        self._refused_retries.labels(provider).inc()

    def cache(self, result: Literal["hit", "miss", "bypass"]) -> None:
        """The answer cache was asked, or a call that may be cached has gone past it."""
        self._cache.labels(result).inc()

    def redis_error(self) -> None:
        """Redis did not answer, or has refused what was asked."""
        self._redis_errors.inc()

    def guardrail(self, name: str, outcome: str) -> None:
        """A guardrail has seen a prompt or an answer."""
        label = _bounded(name, self._guardrail_names)
        self._guardrails.labels(label, _bounded(outcome, self._guardrail_outcomes)).inc()

    def _call_children(self, figures: CallFigures) -> tuple[Any, ...]:
        key = (figures.route, figures.model, figures.provider, figures.status)
        children = self._children.get(key)
        if children is None:
            model = _bounded(figures.model, self._models)
            call = (figures.route, model, figures.provider)
            children = (
                self._calls.labels(*call, figures.status),
                self._seconds.labels(*call),
                self._first_byte.labels(*call),
                self._tokens.labels(*call, "input"),
                self._tokens.labels(*call, "output"),
                self._cost.labels(*call),
            )
            if model == figures.model:
                self._children[key] = children
        return children


def _bounded(value: str, known: set[str]) -> str:
    """A label's value: itself while there are few, `other` when callers invent too many."""
    if value in known:
        return value
    if len(known) < _LABEL_LIMIT:
        known.add(value)
        return value
    return "other"


def prepare_folder(folder: Path) -> None:
    """Empty the folder of values; once per start of the service, before any process opens it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)


def open_metrics(folder: Path) -> Metrics:
    """This process's metrics, shared with its siblings through `folder`."""
    set_for_this_process("PROMETHEUS_MULTIPROC_DIR", str(folder))
    return Metrics()


def process_died(folder: Path, pid: int) -> None:
    """Forget the gauges of a dead process; its counters stay."""
    from prometheus_client import multiprocess  # noqa: PLC0415 -- see Metrics

    multiprocess.mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


def render() -> tuple[bytes, str]:
    """The text of all processes' metrics, and its content type."""
    from prometheus_client import (  # noqa: PLC0415 -- see Metrics
        CONTENT_TYPE_LATEST,
        CollectorRegistry,
        generate_latest,
        multiprocess,
    )

    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
