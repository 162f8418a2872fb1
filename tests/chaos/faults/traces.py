"""What the web processes let pass and when, held against what they said of their breakers.

All times are of the machine's monotonic clock. What a process logs, it logs a moment after it is
true, so an interval that a log line begins is a little shorter here than it was.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tests.chaos.faults.providers import Heard

MOMENT = 0.03
"""By which a log line may be late, and times are rounded."""
HEARD_SECONDS = 1.0
"""After so long every process has heard of what another has opened."""
LAGS = 3
"""What another process has told is heard after so many turns at most; a lag delays each."""
_NEUTRAL = {None, "upstream_rate_limited", "caller_gone"}
Target = tuple[str, str]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a trace; see `traced_process`."""

    kind: str
    pid: int
    t: float
    provider: str = ""
    model: str = ""
    request_id: str = ""
    n: int = 0
    probe: bool = False
    seconds: float = 0.0
    shared: bool = False
    began: float = 0.0
    code: str | None = None
    reason: str | None = None

    @property
    def target(self) -> Target:
        """What it is about."""
        return self.provider, self.model


@dataclass
class Kept:
    """What the traces of a run come to, and where a breaker did not hold.

    Attributes:
        longest_lag: seconds for which a process got no turn.
        passes: attempts that were let pass.
        cross_checked: seconds in which one process had to keep to another's breaker.
    """

    longest_lag: float = 0.0
    passes: int = 0
    probes: int = 0
    opened: int = 0
    heard: int = 0
    closed: int = 0
    cooled: int = 0
    cross_checked: float = 0.0
    wrong: list[str] = field(default_factory=list)


def read(folder: Path, models: Sequence[str], *, since: float) -> list[Line]:
    """The lines about these models and the lags, of all processes, in the order of time."""
    lines = [
        line
        for path in folder.glob("trace.*")
        for text in path.read_bytes().splitlines()
        if (line := msgspec.json.decode(text, type=Line)).model in models or line.kind == "lag"
    ]
    return sorted((line for line in lines if line.t >= since), key=lambda line: line.t)


def longest_lag(lines: Sequence[Line]) -> float:
    """Seconds for which a process got no turn, at the most."""
    return max((line.seconds for line in lines if line.kind == "lag"), default=0.0)


def judge(lines: Sequence[Line], journal: Sequence[Heard]) -> Kept:
    """Whether no call passed a breaker that was open, and nothing was sent without a pass."""
    kept = Kept(longest_lag=longest_lag(lines))
    by_target: dict[Target, list[Line]] = defaultdict(list)
    for line in lines:
        if line.kind != "lag":
            by_target[line.target].append(line)
    for found in by_target.values():
        _count(kept, found)
        for pid in {line.pid for line in found}:
            kept.wrong += _own(found, pid)
            kept.wrong += _cross(kept, found, pid)
        kept.wrong += _probes(found)
    passes = {(line.request_id, line.n) for line in lines if line.kind == "pass"}
    kept.wrong += [
        f"{line} was sent without a pass"
        for line in journal
        if line.request_id and (line.request_id, line.attempt) not in passes
    ]
    return kept


def _count(kept: Kept, lines: list[Line]) -> None:
    for line in lines:
        kept.passes += line.kind == "pass"
        kept.probes += line.kind == "pass" and line.probe
        kept.opened += line.kind == "target.opened" and not line.shared
        kept.heard += line.kind == "target.opened" and line.shared
        kept.closed += line.kind == "target.closed" and not line.shared
        kept.cooled += line.kind == "target.cooling" and not line.shared


def _own(lines: list[Line], pid: int) -> list[str]:
    """Passes of one process against its own breaker: exact."""
    wrong = []
    opened = cooling = None
    lines = [line for line in lines if line.pid == pid]
    closing = [line.t for line in lines if line.kind == "target.closed"]
    for line in lines:
        if line.kind in {"target.opened", "target.closed"}:
            opened = line if line.kind == "target.opened" else None
        elif line.kind == "target.cooling":
            cooling = line
        elif line.kind == "pass":
            if any(line.t <= at <= line.t + MOMENT for at in closing):
                opened = None  # It was closed by then; the log was a moment later.
            if opened is not None and line.t < opened.t + opened.seconds - MOMENT:
                wrong.append(f"{line} passed while open: {opened}")
            elif opened is not None and not line.probe:
                wrong.append(f"{line} passed half open and is no probe: {opened}")
            if cooling is not None and line.t < cooling.t + cooling.seconds - MOMENT:
                wrong.append(f"{line} passed while cooling: {cooling}")
    return wrong


def _cross(kept: Kept, lines: list[Line], pid: int) -> list[str]:
    """Passes of a process against what another has opened, once it must have heard of it."""
    wrong = []
    closings = [line.t for line in lines if line.kind == "target.closed"]
    passes = [line for line in lines if line.kind == "pass" and line.pid == pid]
    for opened in lines:
        if opened.kind != "target.opened" or opened.shared or opened.pid == pid:
            continue
        until = opened.t + opened.seconds
        until = min([until, *(at for at in closings if at > opened.t)]) - MOMENT
        since = opened.t + HEARD_SECONDS + LAGS * kept.longest_lag
        kept.cross_checked += max(0.0, until - since)
        wrong += [
            f"{line} passed what another process has opened: {opened}"
            for line in passes
            if since <= line.t < until
        ]
    return wrong


def _probes(lines: list[Line]) -> list[str]:
    """Never two probes at once, and none within the time that a failed one has opened it for."""
    wrong = []
    ends = {(line.pid, line.began): line for line in lines if line.kind == "probed"}
    closings = [line.t for line in lines if line.kind == "target.closed"]
    opened = [line for line in lines if line.kind == "target.opened" and not line.shared]
    probes = [line for line in lines if line.kind == "pass" and line.probe]
    for first, second in itertools.pairwise(probes):
        if any(first.t <= at <= second.t + MOMENT for at in closings):
            continue
        end = ends.get((first.pid, first.t))
        if end is None or end.t > second.t:
            wrong.append(f"two probes at once: {first}, {second}")
        elif end.code not in _NEUTRAL:
            again = [line for line in opened if end.t <= line.t <= end.t + MOMENT]
            if any(second.t < line.t + line.seconds - MOMENT for line in again):
                wrong.append(f"a probe within the time open: {first}, {end}, {second}")
    return wrong
