"""The vocabularies that ship are OpenAI's own, and load when they are needed, once."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.tokenizer import vocabularies
from torana.tokenizer.vocabularies import VOCABULARIES, encoding, pack, packed, unpack

NAMES = list(VOCABULARIES)
SCRIPT = Path(__file__).parents[3] / "scripts" / "make_vocabularies.py"


def file_of(name: str) -> bytes:
    """A shipped vocabulary in tiktoken's own form."""
    tokens = unpack(packed(name), VOCABULARIES[name].size)
    return b"".join(b"%s %d\n" % (b64encode(token), rank) for rank, token in enumerate(tokens))


@pytest.fixture(scope="module", params=NAMES)
def original(request, tmp_path_factory):
    """The encoding that tiktoken itself makes of its file; it checks the file's hash."""
    from tiktoken_ext import openai_public  # type: ignore[import-untyped]

    name = request.param
    url = f"https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
    cache = tmp_path_factory.mktemp("tiktoken")
    address = hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()
    (cache / address).write_bytes(file_of(name))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(cache))
        return openai_public.ENCODING_CONSTRUCTORS[name]()


@pytest.mark.parametrize("name", NAMES)
def test_what_ships_is_the_file_that_tiktoken_expects(name):
    assert hashlib.sha256(file_of(name)).hexdigest() == VOCABULARIES[name].sha256


def test_tiktoken_itself_takes_the_file_and_cuts_by_the_same_pattern(original):
    vocabulary = VOCABULARIES[original["name"]]
    assert original["pat_str"] == vocabulary.pattern
    assert len(original["mergeable_ranks"]) == vocabulary.size


@pytest.mark.parametrize(
    "text",
    ["", "hello world", "It's 2026: naïve café 🙂\r\n\n\t x", "<|endoftext|>", "我们去公园。"],
)
def test_it_counts_as_tiktoken_does(original, text):
    from tiktoken import Encoding

    theirs = Encoding(**original)
    assert encoding(original["name"]).encode_ordinary(text) == theirs.encode_ordinary(text)


def test_the_script_makes_what_ships():
    spec = importlib.util.spec_from_file_location("make_vocabularies", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for name in NAMES:
        assert script.tokens_of(name) == unpack(packed(name), VOCABULARIES[name].size)


@given(tokens=st.lists(st.binary(min_size=1, max_size=255)))
def test_packing_loses_nothing(tokens):
    assert unpack(pack(tokens), len(tokens)) == tokens


def test_a_damaged_file_is_refused():
    with pytest.raises(ValueError, match="damaged"):
        unpack(pack([b"a", b"bc"]), 1)


def test_a_vocabulary_is_loaded_once_however_many_ask(monkeypatch):
    monkeypatch.setattr(vocabularies, "_loaded", {})
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(encoding, ["cl100k_base"] * 8))
    assert len({id(each) for each in found}) == 1


@pytest.mark.parametrize("module", ["torana.tokenizer", "torana.runtime"])
def test_nothing_is_loaded_before_it_is_needed(module):
    code = f"import {module}, sys; sys.exit('tiktoken' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0


def test_under_gevent_many_calls_count_at_once():
    code = """
from gevent import monkey
monkey.patch_all()
import gevent
from torana.tokenizer import count
jobs = [gevent.spawn(count, "cl100k_base", ["hello world " * 1000]) for _ in range(20)]
gevent.joinall(jobs, raise_error=True)
print({job.value for job in jobs})
"""
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert result.stdout.strip() == "{2001}"
