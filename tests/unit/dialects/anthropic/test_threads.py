"""Conversations that Anthropic's server keeps: what they may cost, and that nobody else has them."""

from __future__ import annotations

import json

import pytest

from torana.core.chat import ChatCall
from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.costs import CallCosts
from torana.dialects.wire import WireRequest
from torana.errors import InvalidRequest

CREATE = {"type": "create"}
CONTINUE = {"type": "continue", "previous_message_id": "msg_1"}


def _request(thread: object) -> WireRequest:
    messages = [{"role": "user", "content": "Hi"}]
    body = {"model": "m", "max_tokens": 9, "messages": messages, "thread": thread}
    return ANTHROPIC.decode_request(json.dumps(body).encode())


def _costs(thread: object) -> CallCosts:
    return ANTHROPIC.read_costs(_request(thread))


def test_a_new_thread_costs_what_is_in_its_request():
    costs = _costs(CREATE)
    assert (costs.unseen_prompt, costs.unruled) == (False, ())


def test_a_thread_that_goes_on_may_fill_the_context_window():
    costs = _costs(CONTINUE)
    assert (costs.unseen_prompt, costs.unruled) == (True, ())
    assert costs.names.unseen_prompt == "thread"


@pytest.mark.parametrize("thread", [{}, {"type": "fork"}, {"type": 1}, "create", [], 7])
def test_an_unknown_kind_of_thread_has_no_rule(thread: object):
    assert _costs(thread).unruled == ("thread",)


@pytest.mark.parametrize("thread", [CREATE, CONTINUE, {}, {"type": "fork"}])
def test_a_thread_is_declined_in_the_words_that_the_sdk_knows_when_it_must_be_translated(
    thread: object,
):
    with pytest.raises(InvalidRequest) as raised:
        ANTHROPIC.read_call(_request(thread))
    assert raised.value.public_code == "thread_unsupported_request"
    assert (raised.value.status, raised.value.param) == (400, "thread")


def test_no_thread_is_no_thread():
    assert isinstance(ANTHROPIC.read_call(_request(None)), ChatCall)
    assert _costs(None).unruled == ()
