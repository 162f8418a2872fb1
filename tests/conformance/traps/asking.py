"""What the tests of traps share: goldens with a twist, and asking once in every way."""

from __future__ import annotations

from typing import Any

from tests.conformance.callers.base import Caller, Got
from tests.conformance.pairs import UPSTREAMS, model_of
from tests.conformance.said import Asked
from tests.conformance.upstreams.golden import Golden, Json
from tests.contract.fake_upstream import FakeUpstream, Script

MODES = ("create", "helper", "raw")
PLAIN = Asked(text="Go on.")


def ask(caller: Caller, mode: str, question: dict[str, Any]) -> Got:
    """Ask in one of the modes."""
    got: Got = getattr(caller, mode)(question)
    return got


class Scene:
    """One upstream that plays a script, and a caller of it."""

    def __init__(
        self, caller: Caller, upstream: FakeUpstream, target: str, script: Golden | Script
    ) -> None:
        self.caller = caller
        self.target = UPSTREAMS[target]
        self._upstream = upstream
        play = script.play if isinstance(script, Golden) else script
        self._name, self.model = model_of(upstream, self.target, play)

    def question(self, asked: Asked = PLAIN) -> dict[str, Any]:
        """What the caller would write."""
        return self.caller.question(asked, self.model)

    @property
    def bodies(self) -> list[Json]:
        """What the upstream has received."""
        return [seen.json() for seen in self._upstream.seen(self._name)]

    @property
    def calls(self) -> int:
        """How often the upstream was asked."""
        return len(self._upstream.seen(self._name))
