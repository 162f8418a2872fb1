"""Anthropic's threads: conversations that its server keeps, and nobody else can go on with.

The newest SDK's tool runner asks for one by itself, and then sends only what is new. Whoever drops
the field makes it go on from nothing; it must be declined in the words that make the runner send
the whole history (`anthropic.types.ThreadUnsupportedRequestError`).
"""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from tests.conformance.callers.base import Caller
from tests.conformance.pairs import UPSTREAMS
from tests.conformance.said import Said
from tests.conformance.traps.asking import MODES, Scene, ask
from tests.contract.fake_upstream import FakeUpstream, Turn

THREADS = [{"type": "create"}, {"type": "continue", "previous_message_id": "msg_elsewhere"}]
UNSUPPORTED = "thread_unsupported_request"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("thread", THREADS, ids=lambda found: found["type"])
@pytest.mark.parametrize("name", ["chat", "responses"])
def test_a_thread_that_the_provider_can_not_keep_is_declined_in_anthropics_words(
    callers: dict[str, Caller],
    upstream: FakeUpstream,
    name: str,
    thread: dict[str, str],
    mode: str,
):
    caller = callers["messages"]
    scene = Scene(caller, upstream, name, UPSTREAMS[name].module.golden(Said(text="Done.")))
    with pytest.raises(anthropic.BadRequestError) as raised:
        ask(caller, mode, {**scene.question(), "extra_body": {"thread": thread}})
    assert _code(raised.value) == UNSUPPORTED
    assert scene.calls == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("code", [UNSUPPORTED, "thread_not_found", "thread_already_continued"])
def test_anthropics_own_code_of_an_error_reaches_its_sdk(
    callers: dict[str, Caller], upstream: FakeUpstream, code: str, mode: str
):
    """The SDK's helpers choose by it how to go on."""
    error = {"type": "invalid_request_error", "message": "no", "details": {"error_code": code}}

    def decline(turn: Turn) -> None:
        turn.reply({"type": "error", "error": error, "request_id": "req_1"}, 400)

    caller = callers["messages"]
    scene = Scene(caller, upstream, "messages", decline)
    with pytest.raises(anthropic.BadRequestError) as raised:
        ask(caller, mode, scene.question())
    assert _code(raised.value) == code


def _code(error: anthropic.APIStatusError) -> Any:
    body: Any = error.body
    return body["error"]["details"]["error_code"]
