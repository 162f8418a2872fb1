"""The form of API keys."""

from __future__ import annotations

import hashlib
import secrets
import string
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.auth.api_keys import NewKey, digest_of, generate, is_well_formed

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
KEY = generate().text
PRINTABLE = string.ascii_letters + string.digits + string.punctuation + " \t\n"


def test_a_key_is_its_prefix_43_digits_and_a_checksum_of_6():
    for _ in range(200):
        text = generate().text
        assert text.startswith("sk-tor-")
        assert len(text) == 7 + 43 + 6
        assert set(text[7:]) <= set(BASE62)
        assert is_well_formed(text)


def test_keys_differ_and_so_does_every_place_of_them():
    texts = [generate().text for _ in range(2000)]
    assert len(set(texts)) == len(texts)
    places = list(zip(*(text[7:50] for text in texts), strict=True))
    # 256 bits do not fill 43 digits of base 62: the first one is small. All others take any value.
    assert all(len(set(place)) == 62 for place in places[1:])
    assert len(set(places[0])) > 1


def test_256_random_bits_are_in_a_key(monkeypatch):
    monkeypatch.setattr(secrets, "randbits", lambda bits: (1 << bits) - 1)
    largest = generate().text
    value = 0
    for digit in largest[7:50]:
        value = value * 62 + BASE62.index(digit)
    assert value == 2**256 - 1


def test_every_change_of_one_character_is_noticed():
    for place, character in product(range(len(KEY)), PRINTABLE):
        changed = KEY[:place] + character + KEY[place + 1 :]
        assert is_well_formed(changed) == (changed == KEY)


def test_two_neighbours_that_changed_places_are_noticed():
    for place in range(7, len(KEY) - 1):
        swapped = KEY[:place] + KEY[place + 1] + KEY[place] + KEY[place + 2 :]
        assert is_well_formed(swapped) == (swapped == KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk-tor-",
        KEY[:-1],
        KEY + "0",
        " " + KEY,
        KEY + "\n",
        KEY.replace("sk-tor-", "sk-ant-"),
        KEY.upper(),
        "sk-proj-" + "A" * 48,
        KEY[:20] + "é" + KEY[21:],
        KEY[:20] + "٣" + KEY[21:],
        "\udcff" * len(KEY),
    ],
)
def test_what_is_no_key_is_refused_without_a_look_at_any_store(text):
    assert not is_well_formed(text)


@given(st.text(max_size=60))
def test_no_text_breaks_the_check(text):
    assert not is_well_formed(text)
    assert not is_well_formed("sk-tor-" + text)


def test_what_is_stored_is_the_sha_256():
    key = generate()
    assert key.digest == digest_of(key.text) == hashlib.sha256(key.text.encode()).digest()


def test_what_is_shown_later_is_a_prefix_that_tells_nothing():
    key = generate()
    assert key.text.startswith(key.display)
    assert len(key.display) == len("sk-tor-") + 4


def test_a_representation_hides_the_key():
    key = generate()
    for shown in (repr(key), str(key), f"{key}", repr([key])):
        assert key.text not in shown
        assert key.text[11:] not in shown
        assert key.digest.hex() not in shown
    assert isinstance(key, NewKey)
