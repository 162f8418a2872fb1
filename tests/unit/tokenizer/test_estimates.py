"""About how many tokens a prompt is, for callers who ask before they call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.dialects.costs import PromptTexts
from torana.tokenizer import chat_input_tokens, count, estimated_tokens
from torana.tokenizer.counting import MESSAGE_TOKENS
from torana.tokenizer.vocabularies import VOCABULARIES

NAMES = list(VOCABULARIES)
WORDS = "one two three four five six seven eight nine ten "


def prompt(*texts: str, messages: int = 1, other_bytes: int = 0) -> PromptTexts:
    size = sum(len(text.encode()) for text in texts) + other_bytes
    return PromptTexts(texts=texts, messages=messages, other_bytes=other_bytes, all_bytes=size)


@pytest.mark.parametrize("vocabulary", NAMES)
def test_texts_count_by_the_vocabulary_of_the_model(vocabulary):
    # In Greek the vocabularies differ.
    text = "Καλημέρα κόσμε, τι κάνεις σήμερα; " * 10
    assert estimated_tokens(prompt(text), vocabulary) == count(vocabulary, [text]) + MESSAGE_TOKENS


@pytest.mark.parametrize("vocabulary", [None, "claude", "gpt2", ""])
def test_where_the_vocabulary_is_not_public_another_one_stands_in(vocabulary):
    text = WORDS * 20
    assert estimated_tokens(prompt(text), vocabulary) == estimated_tokens(
        prompt(text), "o200k_base"
    )


def test_an_empty_prompt_is_its_marks():
    assert estimated_tokens(prompt(messages=0), None) == 0
    assert estimated_tokens(prompt("", "", messages=2), None) == 2 * MESSAGE_TOKENS


@pytest.mark.parametrize(
    ("other_bytes", "tokens"), [(0, 0), (3, 0), (4, 1), (400, 100), (4_000_001, 1_000_000)]
)
def test_what_is_not_text_counts_a_token_for_four_bytes(other_bytes, tokens):
    assert estimated_tokens(prompt(messages=0, other_bytes=other_bytes), None) == tokens


def test_an_estimate_is_near_the_truth_for_plain_words():
    text = WORDS * 100
    assert 1000 <= estimated_tokens(prompt(text), "o200k_base") <= 1020


@given(
    texts=st.lists(st.text(max_size=100), max_size=4),
    messages=st.integers(0, 5),
    other_bytes=st.integers(0, 10_000),
    more=st.text(max_size=50),
)
def test_an_estimate_is_never_negative_and_grows_with_the_prompt(
    texts, messages, other_bytes, more
):
    before = estimated_tokens(prompt(*texts, messages=messages, other_bytes=other_bytes), None)
    after = estimated_tokens(
        prompt(*texts, more, messages=messages + 1, other_bytes=other_bytes + 8), None
    )
    assert 0 <= before < after


def test_a_bound_is_for_money_and_an_estimate_is_not():
    # What becomes of tools is not public: the bound takes each byte for a token.
    tools = prompt("hi", messages=1, other_bytes=4_000)
    assert estimated_tokens(tools, "o200k_base") < chat_input_tokens(tools, "o200k_base") / 3
