"""The kind `mask`: values leave as placeholders and come back as values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.guardrails.guarding import cut, guards_of, masking, prompted, through
from torana.errors import InvalidRequest
from torana.guardrails.masking import LONGEST_HELD, MaskingFilter
from torana.guardrails.placeholders import Placeholders
from torana.guardrails.registry import installed
from torana.guardrails.values import KINDS, find_values

VALUES = st.sampled_from(
    [
        "jane@example.com",
        "bob@example.org",
        "+49 30 1234567",
        "(415) 555-2671",
        "020 7946 0958",
        "4111 1111 1111 1111",
        "sk-abcdefghijklmnop0123",
        "Bearer abcdef0123456789abcdef01",
        'api_key = "0123456789abcdef"',
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----",
        "[EMAIL_1]",
        "[EMAIL_2]",
        "[EMAIL_",
        "[",
        "]",
        "[PHONE_1",
    ]
)
FILLERS = st.text("ab 12.,-+(=:\n", max_size=6) | st.text(max_size=3)
TEXTS = st.lists(VALUES | FILLERS, max_size=12).map("".join)


@given(st.lists(TEXTS, min_size=1, max_size=4), st.data())
def test_what_the_model_echoes_is_what_the_caller_said(texts, data):
    guards = guards_of(masking())
    masked = prompted(guards, *texts)
    for text, echoed in zip(texts, masked, strict=True):
        chain = guards.filter()
        if chain is None:
            assert echoed == text
            continue
        assert through(chain, data.draw(cut(st.just(echoed)))) == text


@given(st.lists(VALUES, min_size=1, max_size=6))
def test_no_value_is_left_in_a_masked_prompt(values):
    (masked,) = prompted(guards_of(masking()), " and ".join(values))
    assert find_values(masked, KINDS) == []
    assert "@" not in masked
    assert "BEGIN" not in masked


@given(cut(TEXTS))
def test_an_answer_is_masked_alike_however_it_comes(pieces):
    whole = MaskingFilter(KINDS, Placeholders(), longest=60)
    streamed = MaskingFilter(KINDS, Placeholders(), longest=60)
    assert through(streamed, pieces) == through(whole, ["".join(pieces)])


@given(cut(TEXTS))
def test_values_in_answers_are_masked_as_in_one_text(pieces):
    text = "".join(pieces)
    expected = Placeholders().replace(text, find_values(text, KINDS))
    assert through(MaskingFilter(KINDS, Placeholders()), pieces) == expected


def test_each_value_has_one_placeholder_in_the_order_of_occurrence():
    guards = guards_of(masking())
    masked = prompted(
        guards, "bob@example.org jane@example.com", "jane@example.com 4111111111111111"
    )
    assert masked == ["[EMAIL_1] [EMAIL_2]", "[EMAIL_2] [CARD_1]"]
    assert guards.outcomes == {"privacy": "masked"}


def test_a_history_that_grows_keeps_its_placeholders():
    first = prompted(guards_of(masking()), "I am jane@example.com")
    second = prompted(guards_of(masking()), "I am jane@example.com", "and he bob@example.org")
    assert second[:1] == first


def test_a_placeholder_that_stands_in_the_prompt_is_not_given_and_not_restored():
    guards = guards_of(masking())
    masked = prompted(guards, "jane@example.com", "what does [EMAIL_1] mean?")
    assert masked == ["[EMAIL_2]", "what does [EMAIL_1] mean?"]
    chain = guards.filter()
    assert chain is not None
    assert chain.whole("[EMAIL_1] [EMAIL_2] [EMAIL_3]") == "[EMAIL_1] jane@example.com [EMAIL_3]"


def test_tokens_flow_unless_a_placeholder_may_have_begun():
    guards = guards_of(masking())
    prompted(guards, "jane@example.com")
    chain = guards.filter()
    assert chain is not None
    fed = [
        chain.feed(piece) for piece in ["Hi [", "1] [", "EMA", "IL_", "1", "]!", " [EMAIL_7", "]"]
    ]
    assert fed == ["Hi ", "[1] ", "", "", "", "jane@example.com!", " [EMAIL_7", "]"]
    assert chain.end() == ""


def test_without_values_nothing_stands_in_the_way_of_an_answer():
    guards = guards_of(masking())
    assert prompted(guards, "no values here") == ["no values here"]
    assert guards.filter() is None
    assert guards.outcomes == {"privacy": "passed"}


def test_placeholders_stay_where_they_shall_not_be_restored():
    guards = guards_of(masking(restore=False))
    assert prompted(guards, "jane@example.com", "[EMAIL_1]") == ["[EMAIL_1]", "[EMAIL_1]"]
    assert guards.filter() is None


def test_what_the_model_writes_is_masked_for_good_and_what_the_caller_wrote_comes_back():
    guards = guards_of(masking("both"))
    prompted(guards, "jane@example.com")
    chain = guards.filter()
    assert chain is not None
    said = "[EMAIL_1] and eve@example.net, again eve@example.net"
    assert chain.whole(said) == "jane@example.com and [EMAIL_2], again [EMAIL_2]"
    other = guards.filter()
    assert other is not None
    assert other.whole("eve@example.net mallory@example.net") == "[EMAIL_2] [EMAIL_3]"


def test_answers_alone_can_be_masked():
    guards = guards_of(masking("answer"))
    assert prompted(guards, "jane@example.com") == ["jane@example.com"]
    chain = guards.filter()
    assert chain is not None
    assert chain.whole("jane@example.com") == "[EMAIL_1]"
    assert guards.outcomes == {"privacy": "masked"}


def test_what_has_no_boundary_is_held_back_to_a_limit():
    passes = MaskingFilter(KINDS, Placeholders())
    passed = "".join(passes.feed("1 ") for _ in range(10_000))
    assert len(passed) >= 20_000 - LONGEST_HELD
    assert passed + passes.end() == "1 " * 10_000


def test_keys_that_come_after_one_another_are_masked_one_by_one():
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----"
    passes = MaskingFilter(KINDS, Placeholders())
    assert through(passes, list(f"{key}{key} is a key")) == "[SECRET_1][SECRET_1] is a key"


def test_only_the_named_kinds_are_masked():
    guards = guards_of(masking(kinds=["card"]))
    assert prompted(guards, "jane@example.com 4111111111111111") == ["jane@example.com [CARD_1]"]


@pytest.mark.parametrize(
    ("options", "param", "told"),
    [
        ({"kinds": []}, "options", "must name something"),
        ({"kinds": ["emails"]}, "options.kinds[0]", "Invalid enum value 'emails'"),
        ({"kind": ["email"]}, "options.kind", "Did you mean 'kinds'?"),
        ({"restore": "yes"}, "options.restore", "Expected `bool`"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(options, param, told):
    with pytest.raises(InvalidRequest) as caught:
        installed().build("mask", "g", options)
    assert caught.value.param == param
    assert told in caught.value.public_message
