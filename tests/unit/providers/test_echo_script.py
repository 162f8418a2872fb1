"""The scripts of the echo provider."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.providers.echo_script import Script, ScriptError, parse


@pytest.mark.parametrize(
    ("model", "script"),
    [
        ("echo", Script()),
        ("status=503", Script(status=503)),
        ("status=503,until=2,retry_after=0", Script(status=503, until=2, retry_after=0)),
        (" words=3 , cut=1", Script(words=3, cut=1)),
        ("hang=1", Script(hang=1)),
        ("usage=0,garbage=1", Script(usage=0, garbage=1)),
    ],
)
def test_a_models_name_is_a_script(model, script):
    assert parse(model) == script


@pytest.mark.parametrize(
    "model",
    [
        "",
        "gpt-4",
        "echo,words=1",
        "words",
        "words=",
        "words=x",
        "words=-1",
        "words=0",
        "words=1.5",
        "words=٣",
        "status=99",
        "status=600",
        "hang=2",
        "words=1,,",
        "delay_ms=999999999",
    ],
)
def test_what_is_no_script_is_refused_with_the_word_that_is_wrong(model):
    with pytest.raises(ScriptError, match="echo"):
        parse(model)


@given(st.text(max_size=30))
def test_every_name_is_a_script_or_is_refused(model):
    try:
        script = parse(model)
    except ScriptError:
        return
    assert isinstance(script, Script)
