"""Two targets, the first failing half the time: callers see nothing of it, and the books agree."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

from tests.chaos.conftest import Print
from tests.chaos.faults import books, traces
from tests.chaos.faults.load import Callers, Load, asked
from tests.chaos.faults.plays import (
    BEFORE_HEAD,
    CLOSE_AT_ACCEPT,
    DRIP,
    FAULTS,
    IN_BODY,
    REFUSALS,
    SLOW,
    evenly,
    play,
)
from tests.chaos.faults.providers import Heard
from tests.chaos.faults.scene import WORKERS, Scene
from torana.core.money import Price
from torana.ledger.locking import database_now
from torana.ledger.prices import current_prices

PARALLEL = 24
SAVED_REPEATS, EARNED_REPEATS = 10, 0.2
"""What the retry budget of a target begins with in each process, and what a first try adds."""
_BEFORE = evenly(*REFUSALS, CLOSE_AT_ACCEPT, *BEFORE_HEAD, SLOW, DRIP)
_CUT = tuple(name for name in IN_BODY if name != "length too long")
"""Of a stream. One that promises more bytes than its end has may be whole."""


def _price(faults: Scene) -> Price:
    with faults.database.read() as session:
        return current_prices(session, database_now(session))["steady", "*"]


def _within_the_budget(found: books.Books) -> None:
    for target, repeats in found.repeats.items():
        most = SAVED_REPEATS * WORKERS + EARNED_REPEATS * found.first_tries[target]
        assert repeats <= most, (target, repeats, found.first_tries[target])


def test_callers_see_nothing_of_a_target_that_fails_half_the_time(
    faults: Scene, figures: Print, is_long: bool
) -> None:
    calls = 20_000 if is_long else 1_500
    faults.route("resilient", "faulty/half", "steady/whole")
    faults.route("untrusted", "expired/old", "steady/fresh")
    # A breaker sees to it that few calls fail; so there are more of the same.
    more = [f"half{number}" for number in range(10)]
    for name in more:
        faults.route(name, f"faulty/{name}", "steady/whole")
    halves = ["half", *more]
    faults.providers.play(
        **{
            name: play(seed=number, faults=_BEFORE, slot_seconds=1.5)
            for number, name in enumerate(halves)
        }
    )
    faults.everywhere()
    load = Load(
        port=faults.web.port,
        key=faults.key,
        models=["resilient"] * 11 + ["untrusted"] + more,
        calls=calls,
        parallel=PARALLEL,
        seed=5,
    )
    callers = asked(load)
    faults.settled()
    journal = faults.providers.take()
    found = books.audit(
        books.entries_of(faults.url, load.models), journal, callers.told, _price(faults)
    )
    lines = traces.read(faults.folder, [*halves, "whole", "old", "fresh"], since=callers.began)
    kept = traces.judge(lines, journal)
    at_first = [line for line in journal if line.provider == "faulty"]
    failed = Counter(line.fault for line in journal if line.fault in FAULTS)
    asked_one = sum(told.model == "resilient" for told in callers.told)
    figures(
        "two targets, the first fails half the time",
        {
            "calls": f"{calls:,}, {asked_one:,} through one alias",
            "as callers saw them": dict(callers.ends),
            "calls/s": round(calls / callers.seconds),
            "heard by the first": f"{len(at_first):,}, {sum(failed.values()):,} of them failed",
            "faults": dict(failed),
            "attempts": f"{found.attempts:,}, {found.failed:,} failed, {found.added:,} added",
            "fallbacks": found.fallbacks,
            "repeats at the same target": dict(found.repeats),
            "charged at their bound": found.charged,
            **{
                f"breakers: {name}": round(value, 2)
                for name, value in asdict(kept).items()
                if name != "wrong"
            },
        },
    )
    found.complain()
    assert not kept.wrong, "\n".join(kept.wrong[:20])
    assert callers.ends["ok"] >= 0.999 * calls, callers.ends
    assert found.calls == calls
    assert found.fallbacks <= found.failed
    _within_the_budget(found)
    # It was worth it: breakers opened, and in the long form there was time for all else.
    assert kept.opened
    if is_long:
        assert set(failed) >= set(_BEFORE) - {SLOW, DRIP}
        assert min(kept.heard, kept.probes, kept.closed) > 10
        assert kept.cross_checked > 10
    faults.verify()


def test_repeats_at_a_target_without_another_keep_to_its_retry_budget(
    faults: Scene, figures: Print, is_long: bool
) -> None:
    calls = 3_000 if is_long else 250
    faults.providers.play(alone=play(seed=7, faults=evenly("503"), share=0.27))
    faults.route("lonely", "steady/alone", attempts=5)
    faults.everywhere()
    load = Load(
        port=faults.web.port,
        key=faults.key,
        models=["lonely"],
        calls=calls,
        parallel=PARALLEL,
        seed=7,
    )
    callers = asked(load)
    faults.settled()
    journal = faults.providers.take()
    found = books.audit(
        books.entries_of(faults.url, load.models), journal, callers.told, _price(faults)
    )
    lines = traces.read(faults.folder, ["alone"], since=callers.began)
    kept = traces.judge(lines, journal)
    first, repeats = found.first_tries["steady/alone"], found.repeats["steady/alone"]
    figures(
        "a target without another refuses a quarter",
        {
            "calls": calls,
            "as callers saw them": dict(callers.ends),
            "first tries": first,
            "repeats": repeats,
            "most that are allowed": SAVED_REPEATS * WORKERS + round(EARNED_REPEATS * first),
            "opened": kept.opened,
        },
    )
    found.complain()
    assert not kept.wrong, "\n".join(kept.wrong[:20])
    _within_the_budget(found)
    assert repeats
    if is_long:  # In few calls, the breaker may end it before the budget does.
        assert repeats > 0.9 * EARNED_REPEATS * first
        assert callers.ends["upstream_overloaded"]


def _asked_with_fallback(
    faults: Scene, names: list[str], calls: int, *, seed: int, streams: float
) -> tuple[Callers, list[Heard]]:
    """Calls of aliases whose first target fails; what callers were told and providers heard."""
    for name in names:
        faults.route(name, f"faulty/{name}", f"steady/{name}-second")
    faults.everywhere()
    callers = asked(
        Load(
            port=faults.web.port,
            key=faults.key,
            models=names,
            calls=calls,
            parallel=PARALLEL,
            seed=seed,
            streams=streams,
        )
    )
    faults.settled()
    return callers, faults.providers.take()


def test_a_stream_that_is_cut_ends_with_an_error_and_never_with_a_faked_finish(
    faults: Scene, figures: Print, is_long: bool
) -> None:
    names = [f"cut{number}" for number in range(2 * len(_CUT))]  # Each has its own breaker.
    calls = 3_000 if is_long else 200
    faults.providers.play(
        **{
            name: play(seed=number, faults=evenly(_CUT[number % len(_CUT)]), share=0.5)
            for number, name in enumerate(names)
        }
    )
    callers, journal = _asked_with_fallback(faults, names, calls, seed=11, streams=1.0)
    cut = {line.request_id: line.fault for line in journal if line.fault in _CUT}
    told = [one for one in callers.told if one.request_id in cut]
    found = books.audit(books.entries_of(faults.url, names), journal, callers.told, _price(faults))
    figures(
        "streams that are cut after their first byte",
        {
            "calls": calls,
            "as callers saw them": dict(callers.ends),
            "cut": dict(Counter(cut.values())),
            "faked finishes": sum(one.finished for one in told),
            "charged at their bound": found.charged,
        },
    )
    found.complain()
    assert len(told) == len(cut)
    assert set(cut.values()) == set(_CUT)
    faked = [(cut[one.request_id], one) for one in told if one.finished or not one.error]
    assert not faked, faked[:5]
    assert all(one.whole for one in callers.told if one.request_id not in cut)
    assert {one.error for one in told} <= {"upstream_cut", "upstream_timeout", "upstream_garbage"}


def test_a_json_answer_that_breaks_is_made_by_the_next_target(
    faults: Scene, figures: Print, is_long: bool
) -> None:
    names = [f"body{number}" for number in range(len(IN_BODY))]
    calls = 2_000 if is_long else 150
    faults.providers.play(
        **{
            name: play(seed=number, body_faults=evenly(fault), share=0.5)
            for number, (name, fault) in enumerate(zip(names, IN_BODY, strict=True))
        }
    )
    callers, journal = _asked_with_fallback(faults, names, calls, seed=13, streams=0.0)
    found = books.audit(books.entries_of(faults.url, names), journal, callers.told, _price(faults))
    broken = Counter(line.fault for line in journal if line.fault in IN_BODY)
    figures(
        "JSON answers that break after their head",
        {
            "calls": calls,
            "as callers saw them": dict(callers.ends),
            "broken": dict(broken),
            "charged at their bound": found.charged,
        },
    )
    found.complain()
    assert set(broken) == set(IN_BODY)
    # No byte of an answer has gone out, so the next target is asked.
    assert callers.ends["ok"] == calls, callers.ends
