"""What the ledger says of each call and its attempts, held against the providers' journal."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.chaos.faults.load import Told
from tests.chaos.faults.plays import CLOSE_AT_ACCEPT, FAULTS, UNCERTAIN
from tests.chaos.faults.providers import Heard
from torana.core.money import Price, cost
from torana.core.usage import Usage

_ENTRIES = """
SELECT call_id, seq, status, counted, cost_nano, bound_nano, attempts
FROM ledger_entries WHERE model = ANY(%s) ORDER BY call_id, seq
"""
_TOLD = 20


@dataclass(frozen=True)
class Entry:
    """A row of the ledger."""

    call_id: str
    seq: int
    status: str
    counted: str
    cost_nano: int
    bound_nano: int
    attempts: list[dict[str, Any]]


def entries_of(url: str, models: Sequence[str]) -> dict[str, list[Entry]]:
    """The entries of all calls that asked for one of these names, by call."""
    calls: dict[str, list[Entry]] = defaultdict(list)
    with psycopg.connect(url) as connection:
        for row in connection.execute(_ENTRIES, (list(models),)):
            calls[row[0]].append(Entry(*row))
    return dict(calls)


@dataclass
class Books:
    """What the calls of a run come to, and what is wrong with them.

    Attributes:
        first_tries, repeats: by target: a call's first attempt there, and its further ones.
        fallbacks: first attempts at another target, after one has failed.
        failed: attempts that failed.
        added: attempts after the first of a call.
        charged: failed attempts that cost their bound.
    """

    calls: int = 0
    attempts: int = 0
    added: int = 0
    fallbacks: int = 0
    failed: int = 0
    charged: int = 0
    cost_nano: int = 0
    first_tries: Counter[str] = field(default_factory=Counter)
    repeats: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def complain(self) -> None:
        """Fail if anything is wrong."""
        assert not self.wrong, "\n".join([f"{len(self.wrong)} wrong:", *self.wrong[:_TOLD]])


def audit(
    calls: dict[str, list[Entry]], journal: Sequence[Heard], told: Sequence[Told], price: Price
) -> Books:
    """Hold the ledger against the journal, attempt by attempt, and against what callers saw.

    Args:
        calls: the entries of the run.
        journal: of the run.
        told: of the run.
        price: of all targets.
    """
    books = Books()
    heard = {(line.request_id, line.attempt): line for line in journal if line.request_id}
    if len(heard) != sum(1 for line in journal if line.request_id):
        books.wrong.append("a provider heard the same attempt twice")
    unheard = 0
    for call_id, entries in calls.items():
        books.calls += 1
        attempts = [attempt for entry in entries for attempt in entry.attempts]
        _count(books, attempts)
        lines = [heard.pop((call_id, attempt["n"]), None) for attempt in attempts]
        unheard += sum(
            line is None and attempt["outcome"] == "upstream_cut"
            for attempt, line in zip(attempts, lines, strict=True)
        )
        books.wrong += [
            f"{call_id} {fault}: {entries}" for fault in _faults(books, entries, lines, price)
        ]
    closed = sum(line.fault == CLOSE_AT_ACCEPT for line in journal)
    if unheard != closed:
        books.wrong.append(f"{unheard} attempts were not heard, {closed} connections were closed")
    books.wrong += [f"{line} is not on the ledger" for line in heard.values()]
    books.wrong += _broken_promises(calls, told)
    return books


def _count(books: Books, attempts: list[dict[str, Any]]) -> None:
    """Count the attempts of one call."""
    asked: list[str] = []
    for attempt in attempts:
        target = f"{attempt['provider']}/{attempt['model']}"
        if target in asked:
            books.repeats[target] += 1
        else:
            books.first_tries[target] += 1
            books.fallbacks += bool(asked)
        asked.append(target)
        books.failed += attempt["outcome"] != "answered"
    books.attempts += len(attempts)
    books.added += max(0, len(attempts) - 1)


def _faults(
    books: Books, entries: list[Entry], lines: list[Heard | None], price: Price
) -> list[str]:
    """What is wrong with one call."""
    entry, faults = entries[0], []
    if len(entries) != 1:
        return ["has several entries"]
    if entry.cost_nano != sum(attempt["cost_nano"] for attempt in entry.attempts):
        faults.append("does not cost what its attempts do")
    if entry.cost_nano > entry.bound_nano:
        faults.append("costs more than its bound")
    if [attempt["n"] for attempt in entry.attempts] != list(range(1, len(entry.attempts) + 1)):
        faults.append("has attempts without their numbers")
    guesses = [
        attempt["cost_nano"]
        for attempt, line in zip(entry.attempts, lines, strict=True)
        if _is_uncertain(attempt, line)
    ]
    # Each attempt has the same bound here, and what failed before stays reserved.
    last_failed = bool(lines) and _is_uncertain(entry.attempts[-1], lines[-1])
    bound = entry.bound_nano / (len(guesses) + (not last_failed))
    books.charged += len(guesses)
    books.cost_nano += entry.cost_nano
    if any(guess != bound for guess in guesses):
        faults.append(f"has uncertain attempts that cost something else than {bound:g}")
    if guesses and entry.counted != "bound":
        faults.append("was guessed and says that it was counted")
    for attempt, line in zip(entry.attempts, lines, strict=True):
        faults += _priced(attempt, line, price)
    return faults


def _is_uncertain(attempt: dict[str, Any], line: Heard | None) -> bool:
    """Whether nobody knows what its provider did: by what was played, not by what we noted."""
    if line is None:  # Closed at accept; or never connected, which costs nothing.
        return bool(attempt["outcome"] != "upstream_unreachable")
    return line.fault in UNCERTAIN


def _priced(attempt: dict[str, Any], line: Heard | None, price: Price) -> list[str]:
    if line is None or line.fault in UNCERTAIN:
        return []
    prompt, answer = line.tokens
    bill = cost(Usage(input_tokens=prompt, output_tokens=answer), price)
    bill *= line.fault not in FAULTS
    if attempt["cost_nano"] != bill:
        return [f"attempt {attempt['n']} ({line.fault}) is billed {bill}"]
    return []


def _broken_promises(calls: dict[str, list[Entry]], told: Sequence[Told]) -> list[str]:
    wrong = []
    names = Counter(one.request_id for one in told)
    wrong += [
        f"{name or 'no id'} was told {count} times" for name, count in names.items() if count > 1
    ]
    for one in told:
        entries = calls.get(one.request_id, [])
        if one.whole and [entry.status for entry in entries] != ["ok"]:
            wrong.append(f"{one.request_id} was answered and is posted as {entries}")
        if one.whole and not one.text.startswith(f"{one.provider} "):
            wrong.append(f"{one.request_id} says {one.provider} and was answered {one.text!r}")
        if not one.whole and any(entry.status == "ok" for entry in entries):
            wrong.append(f"{one.request_id} ended as {one} and is posted as {entries}")
    return wrong
