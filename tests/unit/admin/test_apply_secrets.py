"""Where the keys of a file's providers come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from torana.admin.apply.schema import KeySource, WantedProvider
from torana.admin.apply.secrets import Sources, read_secrets

SECRET = "sk-of-the-provider"
PATH = ("providers", 1)


def read(folder: Path, variables: dict[str, str] | None = None, **fields: Any):
    sources = Sources((variables or {}).get, folder)
    return read_secrets(WantedProvider(name="p", **fields), PATH, sources)


def test_a_provider_without_keys_has_none(tmp_path):
    assert read(tmp_path) == ({}, [])


def test_a_variable_holds_the_only_key(tmp_path):
    assert read(tmp_path, {"A_KEY": f" {SECRET}\n"}, api_key_env="A_KEY") == ({"first": SECRET}, [])


def test_a_file_holds_the_only_key_and_is_looked_for_beside_the_file(tmp_path):
    (tmp_path / "key").write_text(f"{SECRET}\n")
    assert read(tmp_path, api_key_file="key") == ({"first": SECRET}, [])
    assert read(Path("/nowhere"), api_key_file=str(tmp_path / "key")) == ({"first": SECRET}, [])


def test_several_keys_have_labels_and_an_order(tmp_path):
    (tmp_path / "key").write_text("two")
    keys = (KeySource(label="b", env="ONE"), KeySource(label="a", file="key"))
    secrets, problems = read(tmp_path, {"ONE": "one"}, keys=keys)
    assert list(secrets.items()) == [("b", "one"), ("a", "two")]
    assert problems == []


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"api_key_env": "UNSET"}, "api_key_env", "the variable UNSET is not set"),
        ({"api_key_env": "EMPTY"}, "api_key_env", "the variable EMPTY is not set"),
        ({"api_key_env": SECRET}, "api_key_env", "is the name of a variable"),
        ({"api_key_env": "sk_of_the_provider"}, "api_key_env", "that variable is not set"),
        ({"api_key_env": ""}, "api_key_env", "is the name of a variable"),
        ({"api_key_env": "A_KEY", "api_key_file": "x"}, "api_key_env", "either api_key_env or"),
        ({"api_key_file": "absent"}, "api_key_file", "No such file or directory"),
        ({"api_key_file": "nul\0"}, "api_key_file", "can't be read"),
        ({"api_key_file": "."}, "api_key_file", "Is a directory"),
        ({"api_key_file": "empty"}, "api_key_file", "the key and nothing else"),
        ({"api_key_file": "two lines"}, "api_key_file", "the key and nothing else"),
        ({"api_key_file": "long"}, "api_key_file", "the key and nothing else"),
        ({"api_key_file": "bytes"}, "api_key_file", "the key and nothing else"),
    ],
)
def test_a_key_that_is_not_there_is_a_problem_that_repeats_no_secret(
    tmp_path, fields, path, message
):
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "two lines").write_text(f"{SECRET}\n{SECRET}\n")
    (tmp_path / "long").write_text(SECRET * 1000)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    secrets, (problem,) = read(tmp_path, {"EMPTY": " ", "A_KEY": SECRET}, **fields)
    assert secrets == {}
    assert problem.path == (*PATH, path)
    assert message in problem.message
    assert "sk" not in problem.message


def test_the_problems_of_several_keys_are_told_at_once(tmp_path):
    keys = (
        KeySource(label="a"),
        KeySource(label="b", env="A_KEY"),
        KeySource(label="b", env="A_KEY"),
        KeySource(label="c", env="UNSET"),
    )
    _, problems = read(tmp_path, {"A_KEY": SECRET}, keys=keys)
    assert [(each.path[2:], each.message.partition(":")[0]) for each in problems] == [
        (("keys", 0), "name either env or file"),
        (("keys", 2), 'there are two keys with the label "b"'),
        (("keys", 3, "env"), "env"),
    ]


def test_one_key_and_several_do_not_go_together(tmp_path):
    keys = (KeySource(label="a", env="A_KEY"),)
    _, (problem,) = read(tmp_path, {"A_KEY": SECRET}, api_key_env="A_KEY", keys=keys)
    assert problem.path == (*PATH, "keys")
