"""Passwords."""

from __future__ import annotations

import argon2
import pytest

from torana.auth.passwords import MAX_LENGTH, MIN_LENGTH, hash_password
from torana.errors import InvalidRequest


def test_a_hash_is_argon2id_and_knows_its_password_only():
    hashed = hash_password("correct horse battery")
    assert hashed.startswith("$argon2id$")
    hasher = argon2.PasswordHasher()
    assert hasher.verify(hashed, "correct horse battery")
    with pytest.raises(argon2.exceptions.VerifyMismatchError):
        hasher.verify(hashed, "correct horse batterz")


def test_a_hash_fits_its_column_and_has_a_salt_of_its_own():
    first, second = hash_password("x" * MIN_LENGTH), hash_password("x" * MIN_LENGTH)
    assert first != second
    assert len(first) <= 255


@pytest.mark.parametrize("length", [MIN_LENGTH, MAX_LENGTH])
def test_the_limits_themselves_are_allowed(length):
    assert hash_password("p" * length)


@pytest.mark.parametrize("length", [0, MIN_LENGTH - 1, MAX_LENGTH + 1, 10_000_000])
def test_a_password_that_is_too_short_or_too_long_is_refused_without_being_repeated(length):
    password = "p" * length
    with pytest.raises(InvalidRequest, match="12 to 1024") as caught:
        hash_password(password)
    assert caught.value.param == "password"
    assert len(caught.value.public_message) < 200


def test_a_password_in_any_language_is_taken():
    assert hash_password("पासवर्ड बहुत लंबा है")


def test_a_password_that_is_not_text_is_refused():
    # What standard input makes of bytes that are not UTF-8.
    with pytest.raises(InvalidRequest):
        hash_password("\udcff" * MIN_LENGTH)
