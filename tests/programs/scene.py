"""A program, Torana and a provider: what goes in at one end, and what must come out at each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.contract.fake_upstream import FakeUpstream
from tests.programs.heard import Heard, heard
from tests.programs.upstream import INPUT_TOKENS, OUTPUT_TOKENS, Call, Step, conversation
from tests.support.server import RunningServer
from torana.admin.allowed_hosts import allow_host
from torana.admin.price_terms import make_terms
from torana.admin.providers import PURPOSE, add_provider
from torana.core.clock import utc_now
from torana.core.money import format_usd
from torana.db.session import Database
from torana.ledger.prices import set_price
from torana.secret_box import SecretBox
from torana.settings import load_settings

PROVIDERS = ("openai", "anthropic")
CHAT_ALONE = "lookalike"
CHAT_PATH = "/v1/chat/completions"
INPUT_RATE = 150_000_000
OUTPUT_RATE = 600_000_000
COST = (INPUT_TOKENS * INPUT_RATE + OUTPUT_TOKENS * OUTPUT_RATE) // 1_000_000
"""Nano-dollars of each call."""

PROMPT = "How warm is it in Paris and in Łódź?"
SYSTEM = "Use the tools."
ANSWER = "Both have 21 degrees — a wärm day. 🌤"
ASIDE = "One moment."
THINKING = "Two cities, so two calls."
SIGNATURE = "c2lnbmF0dXJl"
CALLS = (
    Call("call_first_1", "weather", {"city": "Paris"}),
    Call("call_other_2", "weather", {"city": "Łódź"}),
)
RESULTS = {"call_first_1": "Paris: 21 degrees", "call_other_2": "Łódź: 21 degrees"}


def provision(database: Database, environment: Mapping[str, str], upstream: FakeUpstream) -> None:
    """The look-alike, and the price of every model of all providers."""
    settings = load_settings(
        data_dir=environment["TORANA_DATA_DIR"], secret_keys=environment["TORANA_SECRET_KEYS"]
    )
    box = SecretBox(settings.secret_keys, PURPOSE)
    allow_host(database, "127.0.0.1")
    add_provider(database, box, name=CHAT_ALONE, base_url=upstream.url, api_key="sk-lookalike")
    terms = make_terms({"input": format_usd(INPUT_RATE), "output": format_usd(OUTPUT_RATE)})
    with database.write() as session:
        for provider in (*PROVIDERS, CHAT_ALONE):
            set_price(
                session,
                provider=provider,
                model="*",
                terms=terms,
                source="operator",
                now=utc_now(),
            )


@dataclass(frozen=True)
class Scene:
    """A server, one of its providers, and a folder for the program.

    Attributes:
        provider: its name, which also says how it is spoken to.
    """

    server: RunningServer
    upstream: FakeUpstream
    provider: str
    folder: Path

    def model(self, *steps: Step) -> str:
        """A model of the provider that answers with these steps, as a caller names it."""
        return f"{self.provider}/{self.upstream.model(conversation(*steps))}"

    def tool_loop(self, *, thinking: str = "") -> str:
        """A model that calls two tools at once and then answers."""
        first = Step(thinking=thinking, signature=SIGNATURE, calls=CALLS)
        return self.model(first, Step(text=ANSWER))

    def heard(self, model: str) -> list[Heard]:
        """What the provider was told for a model, request by request."""
        return [heard(seen) for seen in self.upstream.seen(model.partition("/")[2])]

    def assert_answered(self, model: str) -> None:
        """The provider was asked once, in its own dialect, and the call is on the ledger."""
        (asked,) = self.heard(model)
        assert [said.text for said in asked.of("user")] == [PROMPT]
        self._assert_dialect(asked)
        self.assert_posted(model, 1)

    def assert_tool_loop(self, model: str) -> Heard:
        """The provider was told the results of the calls that it had made; what it was told."""
        asked, told = self.heard(model)
        for turn in (asked, told):
            self._assert_dialect(turn)
            assert "weather" in turn.tools
            assert [said.text for said in turn.of("user")] == [PROMPT]
        assert asked.of("call", "result") == []
        # In the order of the provider's calls, under the ids that it gave them.
        assert [(said.id, said.name) for said in told.of("call")] == [
            (call.id, call.name) for call in CALLS
        ]
        assert [said.arguments for said in told.of("call")] == [dict(c.arguments) for c in CALLS]
        assert [(said.id, said.text) for said in told.of("result")] == list(RESULTS.items())
        # All calls first, then all results: that is how they belong together.
        assert [said.who for said in told.of("call", "result")] == [
            *("call" for _ in CALLS),
            *("result" for _ in CALLS),
        ]
        self.assert_posted(model, 2)
        return told

    def assert_posted(self, model: str, count: int) -> None:
        """Each call is on the ledger, counted by the provider and at its price."""
        for row in self.server.entries_of(model, count):
            assert (row["status"], row["counted"], row["provider"]) == (
                "ok",
                "provider",
                self.provider,
            ), row
            assert (row["input_tokens"], row["output_tokens"]) == (INPUT_TOKENS, OUTPUT_TOKENS)
            assert row["cost_nano"] == COST

    def _assert_dialect(self, asked: Heard) -> None:
        if self.provider == "anthropic":
            assert asked.path == "/v1/messages"
        elif self.provider == "openai":
            assert asked.path in {CHAT_PATH, "/v1/responses"}
        else:
            assert asked.path == CHAT_PATH
