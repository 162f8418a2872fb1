"""Small real objects around a call: a teller that remembers, a provider's answer from a script."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from pydantic import SecretStr

from torana.auth.principal import Principal
from torana.core.money import UNITS, Price, PriceTerms, Rates
from torana.core.rates import RateView
from torana.core.usage import Usage
from torana.db.session import Database
from torana.errors import UpstreamCut
from torana.inference.caller import CallContext
from torana.inference.conversations import Conversations
from torana.inference.idempotency import PURPOSE, AnswerStore
from torana.inference.open_call import OpenCall
from torana.ledger.bounds import Bound
from torana.ledger.items import Replayed
from torana.ledger.records import Ask, CallRecord, Further, Receipt, Settlement
from torana.ledger.teller import Teller
from torana.obs.metrics import CallFigures, Metrics
from torana.outbound.client import Answer, Exchange
from torana.routing.catalog import Target
from torana.secret_box import SecretBox

ADMITTED_AT = datetime(2026, 1, 2, tzinfo=UTC)
BOUND = 1000
RATES = Rates(
    input_tokens=1_000_000,
    cached_tokens=500_000,
    cache_write_tokens=2_000_000,
    output_tokens=3_000_000,
    reasoning_tokens=3_000_000,
)
"""One nano-dollar for a token of input, three for one of output."""
PRICE = Price(id="price_1", terms=PriceTerms(rates=RATES))
TARGET = Target(provider="fake", model="target-model", price=PRICE)
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


class RecordingTeller(Teller):
    """Admits everything, remembers all, and fails when told to."""

    def __init__(self) -> None:
        self.admitted: list[CallRecord] = []
        self.asked: list[Ask] = []
        self.extended: list[int] = []
        """The bounds of calls with another try."""
        self.posts: list[tuple[Receipt, Settlement]] = []
        self.refusals: list[Exception] = []
        """What the next admissions are refused with."""
        self.extend_error: Exception | None = None
        self.post_error: Exception | None = None
        self.replayed: Replayed | None = None
        self.output: int | None = None
        self.rates: RateView | None = None

    def admit(self, record: CallRecord, ask: Ask) -> Receipt | Replayed:
        self.asked.append(ask)
        if self.refusals:
            raise self.refusals.pop(0)
        if self.replayed is not None:
            return self.replayed
        self.admitted.append(record)
        return Receipt(
            record=record,
            admitted_at=ADMITTED_AT,
            balance_ids=record.account_ids,
            bound_nano=ask.bound.nano(self.output),
            output=self.output,
            rates=self.rates,
        )

    def extend(self, receipt: Receipt, further: Further) -> Receipt:
        if self.extend_error is not None:
            raise self.extend_error
        self.extended.append(further.bound_nano)
        return msgspec.structs.replace(
            receipt, bound_nano=max(further.bound_nano, receipt.bound_nano)
        )

    def post(self, receipt: Receipt, settlement: Settlement) -> None:
        self.posts.append((receipt, settlement))
        if self.post_error is not None:
            raise self.post_error

    @property
    def bound_nano(self) -> int:
        """That of the one call."""
        assert len(self.asked) == 1
        return self.asked[0].bound.nano()

    @property
    def settlement(self) -> Settlement:
        """That of the one post."""
        assert len(self.posts) == 1
        return self.posts[0][1]


class RecordingMetrics(Metrics):
    """Metrics of no registry."""

    def __init__(self) -> None:
        self.opened = 0
        self.settled: list[CallFigures] = []
        self.attempts: list[tuple[str, str, str]] = []
        self.retries: list[tuple[str, str]] = []
        self.retries_refused: list[str] = []
        self.cached: list[str] = []
        self.guarded: list[tuple[str, str]] = []

    def call_opened(self) -> None:
        self.opened += 1

    def call_settled(self, figures: CallFigures) -> None:
        self.settled.append(figures)

    def attempt(self, provider: str, model: str, outcome: str) -> None:
        self.attempts.append((provider, model, outcome))

    def retry(self, provider: str, reason: str) -> None:
        self.retries.append((provider, reason))

    def cache(self, result: str) -> None:
        self.cached.append(result)

    def guardrail(self, name: str, outcome: str) -> None:
        self.guarded.append((name, outcome))

    def retry_refused(self, provider: str) -> None:
        self.retries_refused.append(provider)


class FakeLink:
    """A caller that hangs up when told to."""

    def __init__(self) -> None:
        self.is_gone = False
        self.watches = 0
        self.unwatches = 0
        self._hung_up: Callable[[float], None] | None = None

    def gone(self) -> bool:
        return self.is_gone

    def watch(self, hung_up: Callable[[float], None]) -> Callable[[], None]:
        self.watches += 1
        self._hung_up = hung_up

        def unwatch() -> None:
            self.unwatches += 1

        return unwatch

    def hang_up(self, seconds: float = 0.0) -> None:
        """The caller left so many seconds ago; the watcher tells it once."""
        self.is_gone = True
        if self._hung_up is not None:
            self._hung_up(seconds)


Step = bytes | Exception | Callable[[], None]
"""A chunk that arrives, an error that reading raises, or something that happens meanwhile."""


class ScriptedAnswer(Answer):
    """An answer that arrives as its script says; an exchange that was aborted cuts it."""

    def __init__(
        self,
        exchange: Exchange,
        *steps: Step,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        self._exchange = exchange
        self._steps = steps
        self.status = status
        self.headers = {"content-type": "text/event-stream"} if headers is None else headers
        self.closed = 0
        self.taken = 0
        """Steps that were read."""

    def chunks(self, *, silence: float | None = None) -> Iterator[bytes]:
        del silence
        for step in self._steps:
            if self._exchange.aborted:
                raise UpstreamCut("aborted")
            self.taken += 1
            if isinstance(step, bytes):
                yield step
            elif isinstance(step, Exception):
                raise step
            else:
                step()

    def close(self) -> None:
        self.closed += 1


@dataclass
class Scene:
    """An open call and all that is around it."""

    teller: RecordingTeller = field(default_factory=RecordingTeller)
    metrics: RecordingMetrics = field(default_factory=RecordingMetrics)
    link: FakeLink = field(default_factory=FakeLink)
    exchange: Exchange = field(default_factory=lambda: Exchange(time.monotonic() + 600))
    opened: list[OpenCall] = field(default_factory=list)
    forgotten: list[OpenCall] = field(default_factory=list)
    target: Target = TARGET
    bound_nano: int = BOUND
    drain_seconds: float = 60.0
    streamed: bool = True
    estimate: Callable[[str], Usage | None] = lambda _text: None

    def open(self) -> OpenCall:
        record = CallRecord(
            call_id="req_1",
            organisation_id="org_1",
            project_id="proj_1",
            user_id=None,
            key_id="key_1",
            account_ids=("bal_1",),
            route="openai.chat.completions",
            model="asked-model",
            provider=self.target.provider,
            target_model=self.target.model,
            price_id=self.target.price.id if self.target.price is not None else None,
        )
        receipt = self.teller.admit(record, Ask(bound=Bound(fixed=self.bound_nano * UNITS)))
        assert isinstance(receipt, Receipt)
        call = OpenCall(
            context=context(self.link),
            receipt=receipt,
            target=self.target,
            streamed=self.streamed,
            exchange=self.exchange,
            teller=self.teller,
            metrics=self.metrics,
            patience_until=self.exchange.deadline,
            drain_seconds=self.drain_seconds,
            forget=self.forgotten.append,
            estimate=self.estimate,
        )
        call.watch_caller()
        self.opened.append(call)
        return call


def context(link: FakeLink | None = None, **values: Any) -> CallContext:
    """A request of `PRINCIPAL`."""
    fields: dict[str, Any] = {
        "request_id": "req_1",
        "principal": PRINCIPAL,
        "received_at": time.monotonic(),
        "link": link or FakeLink(),
    }
    return CallContext(**(fields | values))


def conversations(url: str = "sqlite:////nowhere/at/all.db") -> Conversations:
    """Conversations that nothing is kept in."""
    box = SecretBox([SecretStr("s" * 32)], "conversations")
    return Conversations(Database(url), box, timedelta(0))


def store(url: str = "sqlite:////nowhere/at/all.db") -> AnswerStore:
    """Seals answers as in production."""
    return AnswerStore(Database(url), SecretBox([SecretStr("s" * 32)], PURPOSE))
