"""Envelopes of foreign signatures: what was packed comes out, and nothing else does."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.dialects.signatures import pack, unpack

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.sampled_from(["anthropic", "openai"]), st.none() | TEXTS, TEXTS)
def test_what_was_packed_comes_out(vendor, id_, value):
    assert unpack(pack(vendor, id_, value)) == (vendor, id_, value)


def test_an_envelope_is_safe_in_any_json_and_header():
    packed = pack("openai", "rs_1", "é\n\x00\U0001f600" * 50)
    assert packed.isascii()
    assert packed.startswith("torana.openai.")
    assert packed.replace(".", "").replace("-", "").replace("_", "").isalnum()


def _envelope(inner: bytes, vendor: str = "openai") -> str:
    return f"torana.{vendor}.{base64.urlsafe_b64encode(inner).decode()}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "EqQBCgIYAhIM",
        "torana",
        "torana.",
        "torana.openai",
        "torana.openai.",
        "torana.openai.!!!!",
        "torana.openai.é",
        "torana.openai.A",
        _envelope(b"not json"),
        _envelope(b"[]"),
        _envelope(b'{"id":null}'),
        _envelope(b'{"id":7,"s":"x"}'),
        _envelope(b'{"id":null,"s":"x","more":1}'),
        _envelope(b'{"id":null,"s":"\xff"}'),
        _envelope(b"[" * 100_000),
        _envelope(b'{"id":null,"s":"x"}', vendor="nobody"),
    ],
)
def test_what_is_no_envelope_is_none_and_never_an_error(text):
    assert unpack(text) is None


@given(st.text())
def test_no_text_breaks_it(text):
    unpack(text)
    unpack("torana.openai." + text)
    assert unpack(pack("openai", None, "s") + "=" + text + "!") is None


def test_an_envelope_with_padding_is_read_too():
    assert unpack(_envelope(b'{"id":null,"s":"ab"}')) == ("openai", None, "ab")
