"""All that this process knows of one target. Whoever uses it holds the registry's lock."""

from __future__ import annotations

from collections.abc import Callable

from torana.errors import ToranaError, UpstreamError
from torana.routing.breaker import Breaker, Change, Pass
from torana.routing.health import HealthNews, HealthPolicy, TargetHealth, TargetView
from torana.routing.latency import Latency
from torana.routing.retry_budget import RetryBudget
from torana.routing.turns import Turn
from torana.routing.verdicts import Verdict


class TargetRecord:
    """A target's breaker, latencies and retry budget.

    Args:
        key: provider and model.
        policy: the numbers.
        chance: numbers from 0 to 1.
    """

    def __init__(
        self, key: tuple[str, str], policy: HealthPolicy, chance: Callable[[], float]
    ) -> None:
        self.key = key
        self.breaker = Breaker(policy, chance)
        self.budget = RetryBudget(policy)
        self.turn = Turn()
        self.open_calls = 0
        self._policy = policy
        self._json = Latency(policy)
        self._stream = Latency(policy)

    def latency(self, *, streamed: bool) -> Latency:
        """Of streams or of JSON answers."""
        return self._stream if streamed else self._json

    def enter(self, now: float, *, shared: bool, again: bool) -> Pass | None:
        """See `Health.enter`."""
        breaker = self.breaker
        may_probe = True
        if shared and breaker.state(now) == "half_open":
            may_probe = self.turn.may_probe(now, free_since=breaker.open_until)
        passed = breaker.enter(now, may_probe=may_probe)
        if passed is not None:
            self.open_calls += 1
            if not again:
                self.budget.first_try()
        return passed

    def ended(
        self,
        now: float,
        passed: Pass,
        verdict: Verdict,
        error: ToranaError | None,
        *,
        streamed: bool,
    ) -> Change | None:
        """See `Attempt.ended`."""
        self.open_calls -= 1
        if verdict == "success":
            return self.breaker.succeeded(passed, now)
        reason = error.code if error is not None else ""
        if verdict == "failure":
            self.latency(streamed=streamed).failed(now, now - passed.began)
            return self.breaker.failed(passed, now, reason)
        if verdict == "cooling":
            asked = error.cooldown if isinstance(error, UpstreamError) else None
            return self.breaker.cooled(passed, now, reason, asked)
        self.breaker.released(passed)
        return None

    def view(self, now: float, *, shared: bool) -> TargetHealth:
        """For routing; see `Health.shared`."""
        breaker = self.breaker
        state, wait = breaker.state(now), breaker.wait(now)
        if shared and state == "half_open" and not breaker.probing:
            wait = max(wait, self.turn.wait(now, free_since=breaker.open_until))
        return TargetHealth(
            state=state,
            wait=wait,
            reason=breaker.reason if state != "closed" else None,
            latency=self._json.value(now),
            stream_latency=self._stream.value(now),
            open_calls=self.open_calls,
        )

    def told(self, now: float, *, shared: bool) -> TargetView:
        """For people."""
        view = self.view(now, shared=shared)
        outcomes, failures = self.breaker.recent.counts(now)
        return TargetView(
            provider=self.key[0],
            model=self.key[1],
            state=view.state,
            wait=round(view.wait, 3),
            reason=view.reason,
            latency_ms=_milliseconds(view.latency),
            stream_latency_ms=_milliseconds(view.stream_latency),
            open_calls=view.open_calls,
            recent_failures=failures,
            recent_outcomes=outcomes,
        )

    def wants_to_probe(self, now: float) -> bool:
        """Whether this process needs the lease: a call asked for it, or is the probe."""
        return self.breaker.probing or self.turn.wanted(now)

    def news(self, now: float, change: Change) -> HealthNews | None:
        """What is told to other processes of a change; None when it is over."""
        breaker = self.breaker
        provider, model = self.key
        if change == "closed":
            if breaker.state(now) in {"open", "half_open"}:
                return None
            age = now - breaker.closed_at
            return HealthNews(provider=provider, model=model, kind="closed", wait=0.0, age=age)
        opened = change == "opened"
        until = breaker.open_until if opened else breaker.cool_until
        if until <= now:
            return None
        return HealthNews(
            provider=provider,
            model=model,
            kind="open" if opened else "cooling",
            wait=until - now,
            age=now - (breaker.opened_at if opened else breaker.cooled_at),
            opens=breaker.opens if opened else 0,
            reason=breaker.reason,
        )

    def adopt(self, now: float, news: HealthNews) -> Change | None:
        """Take over what another process knows, unless this one knows better since."""
        breaker, policy = self.breaker, self._policy
        happened = now - news.age
        if news.kind == "closed":
            return breaker.close(now, at=happened) if breaker.opened_at < happened else None
        if news.wait <= 0:
            return None
        if news.kind == "cooling":
            return breaker.cool(now, min(news.wait, policy.longest_cooldown), news.reason)
        if breaker.closed_at > happened:
            return None
        seconds = min(news.wait, policy.longest_open)
        return breaker.open_for(now, seconds, news.reason, opens=news.opens, at=happened)


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
