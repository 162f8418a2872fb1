"""Counting: never fewer than a tokenizer finds, never more than the bytes, in bounded time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from torana.dialects.costs import PromptTexts
from torana.dialects.openai_chat.costs import prompt_texts, read_costs
from torana.dialects.openai_chat.requests import decode_request
from torana.ledger.bounds import CALL_TOKENS
from torana.tokenizer import chat_input_tokens, count, known, pieces, visible_output_tokens
from torana.tokenizer.vocabularies import VOCABULARIES, encoding

NAMES = list(VOCABULARIES)
VOCABULARY = st.sampled_from(NAMES)
ODD = (
    *(
        "a",
        "B",
        "é",
        "中",
        "我",
        "\u017f",
        "가",
        "か",
        "ー",
        "1",
        "12",
        "²",
        "\uff11",
        "ab",
        "The",
        "🙂",
    ),
    *("。", "\uff0c", "'s", "'LL", "'", "!", "/", "_", '"', "{", ":", " .", "\\u0041", "\\ud800"),
    *(" ", "  ", "\n", "\n\n", "\r\n", "\t", "\x00", "\x1c", "\x85", "\xa0", "\u2028", "\u200b"),
    *("\u0301", "\ufffd", "<|endoftext|>", "<|im_start|>"),
)
TEXTS = st.text(max_size=200) | st.lists(st.sampled_from(ODD), max_size=80).map("".join)


def real(vocabulary: str, text: str) -> int:
    return len(encoding(vocabulary).encode_ordinary(text))


# --- pieces ------------------------------------------------------------------------------------


@given(vocabulary=VOCABULARY, text=TEXTS, size=st.integers(2, 50))
@example(vocabulary="o200k_base", text="x!\n" * 30 + "/" + "y" * 60, size=40)
def test_the_parts_of_a_text_count_what_the_whole_does(vocabulary, text, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE", size)
        parts = [part for part, _ in pieces.pieces(text)]
        mergeable = [part for part, mergeable in pieces.pieces(text) if mergeable]
    assert "".join(parts) == text
    assert sum(real(vocabulary, part) for part in parts) == real(vocabulary, text)
    assert all(len(part) <= size for part in mergeable)


LONG = 300_000


@pytest.mark.parametrize("vocabulary", NAMES)
@pytest.mark.parametrize(
    ("text", "most"),
    [
        # No tokenizer is given these whole: it would take long or break. They count as bytes.
        ("a" * LONG, LONG),
        (" " * LONG, LONG),
        ("\n" * LONG, LONG),
        ("^" * LONG, LONG),
        ("我" * LONG, 3 * LONG),
        ("\ud83d" * LONG, 3 * LONG),
        # What is written by people and programs is counted.
        ("hello world " * (LONG // 12), 2 * LONG // 12 + 1),
        ('{"key":"value","n":[1,2,3]},' * (LONG // 28), LONG // 2),
        ("我们今天去公园散步。" * (LONG // 10), 3 * LONG // 2),
    ],
)
def test_long_texts_are_counted_in_parts_of_bounded_size(vocabulary, text, most):
    assert max(len(part) for part, mergeable in pieces.pieces(text) if mergeable) <= pieces.PIECE
    assert count(vocabulary, [text]) <= most


@pytest.mark.parametrize("vocabulary", NAMES)
@pytest.mark.parametrize("letter", ["a", " ", "\n", "^", "1", "我", "\t ", "'s", "aA", "\u0301"])
def test_the_longest_part_of_anything_is_merged_without_breaking(vocabulary, letter):
    text = (letter * pieces.PIECE)[: pieces.PIECE]
    assert 0 < count(vocabulary, [text]) <= len(text.encode())


# --- counts and bounds -------------------------------------------------------------------------


@pytest.mark.parametrize("vocabulary", NAMES)
def test_special_tokens_in_a_text_are_text(vocabulary):
    assert count(vocabulary, ["<|endoftext|>"]) > 1


def test_only_what_ships_is_known():
    assert all(known(name) for name in NAMES)
    assert not known("gpt2")
    assert not known(None)
    with pytest.raises(KeyError):
        count("gpt2", ["x" * 5_000])


@given(vocabulary=VOCABULARY, texts=st.lists(TEXTS, max_size=4))
def test_texts_are_counted_each_by_itself_and_never_above_their_bytes(vocabulary, texts):
    counted = count(vocabulary, texts)
    assert counted == sum(real(vocabulary, text) for text in texts)
    assert counted <= sum(len(text.encode()) for text in texts)


@given(vocabulary=VOCABULARY, text=TEXTS)
def test_what_was_seen_of_an_answer_is_counted(vocabulary, text):
    assert visible_output_tokens(text, vocabulary) == real(vocabulary, text)


ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool"])
PART = st.builds(lambda text: {"type": "text", "text": text}, TEXTS)
MESSAGE = st.fixed_dictionaries(
    {"role": ROLES, "content": TEXTS | st.lists(PART, max_size=3)}, optional={"name": TEXTS}
)


def openai_count(vocabulary: str, messages: list[dict[str, Any]]) -> int:
    """A prompt's tokens by the recipe of OpenAI's cookbook."""
    tokens = 3
    for message in messages:
        content = message["content"]
        if isinstance(content, list):
            content = "".join(part["text"] for part in content)
        tokens += 3 + real(vocabulary, message["role"]) + real(vocabulary, content)
        if "name" in message:
            tokens += 1 + real(vocabulary, message["name"])
    return tokens


@given(
    vocabulary=VOCABULARY,
    messages=st.lists(MESSAGE, min_size=1, max_size=4),
    ascii_only=st.booleans(),
    compact=st.booleans(),
)
def test_a_prompt_is_never_longer_than_its_bytes_nor_than_its_exact_bound(
    vocabulary, messages, ascii_only, compact
):
    body = json.dumps(
        {"model": "m", "messages": messages},
        ensure_ascii=ascii_only,
        separators=(",", ":") if compact else None,
    )
    request = decode_request(body.encode())
    costs = read_costs(request)
    exact = openai_count(vocabulary, messages)
    assert costs.unruled == ()
    assert exact <= costs.text_bytes + CALL_TOKENS
    counted = chat_input_tokens(prompt_texts(request, costs), vocabulary)
    assert exact <= counted + CALL_TOKENS
    assert counted <= costs.text_bytes


def prompt_of(**fields: Any) -> PromptTexts:
    body = json.dumps({"model": "m", **fields}).encode()
    request = decode_request(body)
    return prompt_texts(request, read_costs(request))


def test_contents_are_texts_and_everything_else_counts_by_its_bytes():
    tools = [{"type": "function", "function": {"name": "f"}}]
    long = "word " * 1_000
    prompt = prompt_of(
        messages=[
            {"role": "system", "content": long},
            {"role": "user", "content": [{"type": "text", "text": long}]},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "x"}]},
            {"role": "tool", "content": 7},
        ],
        tools=tools,
    )
    assert prompt.texts == (long, long)
    assert prompt.messages == 4
    assert len(json.dumps(tools)) < prompt.other_bytes < 400
    assert chat_input_tokens(prompt, "o200k_base") < 2_500


def test_a_text_behind_an_equal_key_counts_by_its_bytes():
    hidden = "x" * 1_000
    body = f'{{"model":"m","messages":[{{"role":"user","content":"{hidden}","content":"y"}}]}}'
    request = decode_request(body.encode())
    prompt = prompt_texts(request, read_costs(request))
    assert prompt.texts == ("y",)
    assert prompt.other_bytes >= 1_000


def test_a_text_in_escapes_counts_as_what_it_says():
    prompt = prompt_of(messages=[{"role": "user", "content": "我" * 1_000}])
    assert prompt.texts == ("我" * 1_000,)
    assert prompt.other_bytes < 50


@pytest.mark.parametrize("messages", [7, "x", [7], {"a": 1}])
def test_messages_of_another_shape_count_by_their_bytes(messages):
    prompt = prompt_of(messages=messages)
    size = len(json.dumps(messages))
    assert prompt == PromptTexts(texts=(), messages=0, other_bytes=size, all_bytes=size)


def test_many_empty_texts_count_no_more_than_their_bytes():
    prompt = prompt_of(messages=[{"content": ""}] * 1_000)
    assert chat_input_tokens(prompt, "o200k_base") == prompt.all_bytes
