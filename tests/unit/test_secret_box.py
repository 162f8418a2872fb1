"""Secrets of an installation."""

from __future__ import annotations

import base64
import hmac
import os
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from torana.errors import ConfigurationError
from torana.secret_box import SECRET_FILE, SecretBox, derive, load_or_make

OLD, NEW = SecretStr("o" * 32), SecretStr("n" * 32)


def test_each_purpose_has_a_key_of_its_own():
    keys = {derive(secret, purpose) for secret in (OLD, NEW) for purpose in ("a", "b", "")}
    assert len(keys) == 6


def test_a_key_is_derived_as_rfc_5869_says():
    # A change of the derivation would make all that is stored unreadable.
    extracted = hmac.digest(bytes(32), OLD.get_secret_value().encode(), "sha256")
    expanded = hmac.digest(extracted, b"torana:provider-keys\x01", "sha256")
    assert derive(OLD, "provider-keys") == base64.urlsafe_b64encode(expanded)


def test_what_is_sealed_is_opened_again():
    box = SecretBox([NEW], "a")
    sealed = box.seal("sk-ключ")
    assert b"sk-" not in sealed
    assert box.open(sealed) == "sk-ключ"
    assert box.seal("sk-ключ") != sealed


def test_an_older_secret_still_opens_and_the_newest_seals():
    sealed = SecretBox([OLD], "a").seal("value")
    rotated = SecretBox([NEW, OLD], "a")
    assert rotated.open(sealed) == "value"
    assert SecretBox([NEW], "a").open(rotated.seal("value")) == "value"


@pytest.mark.parametrize(
    "sealed",
    [
        SecretBox([OLD], "a").seal("value"),
        SecretBox([NEW], "b").seal("value"),
        b"",
        b"garbage",
        SecretBox([NEW], "a").seal("value")[:-2] + b"x=",
    ],
    ids=["another secret", "another purpose", "nothing", "garbage", "altered"],
)
def test_what_can_not_be_opened_says_what_to_do(sealed):
    with pytest.raises(ConfigurationError, match="TORANA_SECRET_KEYS") as caught:
        SecretBox([NEW], "a").open(sealed)
    assert "value" not in caught.value.public_message
    assert NEW.get_secret_value() not in caught.value.public_message


def test_without_a_secret_there_is_no_box():
    with pytest.raises(ConfigurationError, match="TORANA_SECRET_KEYS is not set"):
        SecretBox([], "a")


def test_the_secret_of_a_folder_is_made_once_and_for_its_owner_only(tmp_path: Path):
    previous = os.umask(0)
    try:
        first = load_or_make(tmp_path)
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / SECRET_FILE).stat().st_mode) == 0o600
    assert len(first.get_secret_value()) == 64
    assert load_or_make(tmp_path) == first


def test_two_folders_have_different_secrets(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert load_or_make(tmp_path / "a") != load_or_make(tmp_path / "b")


@pytest.mark.parametrize(
    "text",
    [b"", b"short", b"x" * 31, b"\n" * 100, b"\xff\xfe" * 40],
    ids=["empty", "short", "one too few", "blank", "not text"],
)
def test_a_file_that_holds_no_secret_is_refused_and_left_alone(tmp_path: Path, text):
    file = tmp_path / SECRET_FILE
    file.write_bytes(text)
    with pytest.raises(ConfigurationError, match=SECRET_FILE):
        load_or_make(tmp_path)
    assert file.read_bytes() == text


def test_a_file_that_an_editor_ended_with_a_line_end_is_fine(tmp_path: Path):
    (tmp_path / SECRET_FILE).write_text("s" * 32 + "\n")
    assert load_or_make(tmp_path).get_secret_value() == "s" * 32


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="missing"):
        load_or_make(tmp_path / "missing")


def test_a_secret_does_not_show():
    assert "oooo" not in repr(OLD)
    assert "oooo" not in repr(SecretBox([OLD], "a"))


def test_a_process_that_finds_the_file_made_meanwhile_takes_its_secret(tmp_path: Path, monkeypatch):
    made = load_or_make(tmp_path)
    # Two processes start at once: this one looked before the other had made the file.
    monkeypatch.setattr(Path, "exists", lambda _self: False)
    assert load_or_make(tmp_path) == made
