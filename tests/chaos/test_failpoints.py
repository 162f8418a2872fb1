"""Every step of a call's path breaks in every way, and each time the right rows remain."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.books import Entry, audit, bills, read
from tests.chaos.failpoints import ACTIONS, POINTS, model_of
from tests.chaos.gateway import Installation, Web
from tests.support.server import eventually

STOPPED_SECONDS = 1.3
"""Longer than the database leaves a silent transaction its locks."""
_ANSWER_SECONDS = 20.0
NOTHING, ABANDONED, EXACT = "nothing", "abandoned", "exact"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A failpoint, and a call that reaches it."""

    point: str
    action: str
    stream: bool
    number: int

    @property
    def model(self) -> str:
        """As the provider calls it."""
        return model_of(self.point, self.action, self.number)

    @property
    def expected(self) -> str:
        """What remains: only a death before the post may leave less than the exact cost."""
        if self.action != "kill" or self.point == "after_post":
            return EXACT
        return NOTHING if self.point == "before_admit" else ABANDONED


@dataclass(frozen=True)
class Told:
    """What the caller heard."""

    status: int
    request_id: str
    whole: bool


def _cases(actions: Sequence[str], *, both: bool) -> list[Case]:
    """Each point with each action; streams too, or JSON and streams in turn."""
    return [
        Case(point=point, action=action, stream=stream, number=int(stream))
        for point_number, point in enumerate(POINTS)
        for action in actions
        for stream in ((False, True) if both else (bool(point_number % 2),))
    ]


def _ask(installation: Installation, web: Web, key: str, case: Case) -> Told:
    """Make the call; at a `lost` failpoint hang up."""
    body = {
        "model": f"openai/{case.model}",
        "messages": [{"role": "user", "content": "what breaks here?"}],
        "max_tokens": 33,
    } | ({"stream": True} if case.stream else {})
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        if case.action == "lost":
            eventually((installation.folder / f"{case.model}.reached").exists, case.model)
            connection.close()
            (installation.folder / f"{case.model}.gone").touch()
            return Told(0, "", False)
        response = connection.getresponse()
        name = response.getheader("x-request-id", "")
        data = response.read()
        end = b"data: [DONE]\n\n" if case.stream else b"}"
        return Told(response.status, name, data.endswith(end) and b'"error"' not in data)
    except (OSError, http.client.HTTPException):
        return Told(0, "", False)
    finally:
        connection.close()


@contextmanager
def _waking(folder: Path) -> Iterator[None]:
    """Wake every process that has stopped at a failpoint, some time after."""
    stopping = threading.Event()
    woken: set[Path] = set()

    def wake() -> None:
        while not stopping.wait(0.05):
            for path in folder.glob("fp-*-stop-*.reached"):
                age = time.time() - path.stat().st_mtime  # noqa: TID251 -- a file's age
                if path not in woken and age > STOPPED_SECONDS:
                    woken.add(path)
                    with suppress(ProcessLookupError, ValueError):
                        os.kill(int(path.read_text()), signal.SIGCONT)

    thread = threading.Thread(target=wake, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(5)


def _run(
    installation: Installation, web: Web, key: str, cases: Sequence[Case], at_once: int
) -> dict[str, Told]:
    with ThreadPoolExecutor(at_once) as pool:
        answers = {case.model: pool.submit(_ask, installation, web, key, case) for case in cases}
        return {model: answer.result() for model, answer in answers.items()}


def _problem(case: Case, told: Told, entries: list[Entry], bill: int | None) -> str:
    """What is not as it should be after a case, or nothing."""
    costs = [entry.cost_nano for entry in entries]
    where = f"{case.model}: told {told}, rows {entries}, bill {bill}"
    if case.expected == NOTHING:
        return where if entries or bill is not None else ""
    if len(entries) != 1:
        return where
    (entry,) = entries
    if case.expected == ABANDONED:
        right = (entry.status, entry.cost_nano) == ("abandoned", entry.bound_nano)
        return "" if right and (bill is None or bill <= entry.cost_nano) else where
    states = {"ok", "cancelled"} if case.action == "lost" else {"ok"}
    if entry.status not in states or costs != [bill]:
        return where
    answered = case.action in {"stop", "database"}
    return where if answered and not (told.status == 200 and told.whole) else ""


def test_every_step_breaks_in_every_way(installation, figures, is_long):
    key = installation.key("failpoints", 10_000_000).key
    began = time.monotonic()
    kills = _cases(("kill",), both=is_long)
    stops = _cases(("stop",), both=is_long)
    others = _cases([name for name in ACTIONS if name not in {"kill", "stop"}], both=is_long)
    with installation.cron(), installation.web(3) as web, _waking(installation.folder):
        # One after another: a death takes all calls of its process along.
        told = _run(installation, web, key, kills, 1)
        told |= _run(installation, web, key, others, 8)
        told |= _run(installation, web, key, stops, 2)
        installation.wait_until_settled(30)
    cases = [*others, *stops, *kills]
    served = installation.upstream.journal()
    result = audit(installation.url, served, [], installation.price)
    rows, billed = read(installation.url), bills(served, installation.price)
    by_model = _calls_by_model(installation)
    problems = []
    for case in cases:
        calls = by_model.get(case.model, [])
        if len(calls) > 1:
            problems.append(f"{case.model} has {len(calls)} calls")
        call_id = calls[0] if calls else ""
        problem = _problem(case, told[case.model], rows.calls.get(call_id, []), billed.get(call_id))
        problems += [problem] if problem else []
    reached = {path.stem for path in installation.folder.glob("fp-*.reached")}
    figures(
        "failpoints",
        {
            "combinations": len(cases),
            "reached": len(reached),
            "exact": sum(case.expected == EXACT for case in cases),
            "abandoned at their bound": result.abandoned,
            "without a trace": sum(case.expected == NOTHING for case in cases),
            "simulator's bill": result.bill,
            "ledger": result.ledger,
            "balance": result.balance,
            "wrong": len(problems),
            "seconds": f"{time.monotonic() - began:.1f}",
        },
    )
    assert not problems, "\n".join(problems)
    assert reached == {case.model for case in cases}
    result.complain()
    installation.verify()


def _calls_by_model(installation: Installation) -> dict[str, list[str]]:
    import psycopg

    found: dict[str, list[str]] = {}
    with psycopg.connect(installation.url) as connection:
        for model, call_id in connection.execute(
            "SELECT DISTINCT target_model, call_id FROM ledger_entries"
        ):
            found.setdefault(model, []).append(call_id)
    return found
