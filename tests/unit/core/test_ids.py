"""Ids: UUIDv7 in TypeID's clothes."""

from __future__ import annotations

import os
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.core import ids
from torana.core.ids import new_id, uuid_of

# From the TypeID specification, version 0.3: valid.yml.
SPECIFIED = [
    ("00000000000000000000000000", "00000000-0000-0000-0000-000000000000"),
    ("00000000000000000000000001", "00000000-0000-0000-0000-000000000001"),
    ("0000000000000000000000000g", "00000000-0000-0000-0000-000000000010"),
    ("00000000000000000000000010", "00000000-0000-0000-0000-000000000020"),
    ("7zzzzzzzzzzzzzzzzzzzzzzzzz", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    ("0123456789abcdefghjkmnpqrs", "0110c853-1d09-52d8-d73e-1194e95b5f19"),
    ("01h455vb4pex5vsknk084sn02q", "01890a5d-ac96-774b-bcce-b302099a8057"),
]
INSTANTS = st.integers(min_value=0, max_value=(1 << 48) - 1)
RANDOM = st.binary(min_size=10, max_size=10)


def id_at(milliseconds: int, random: bytes = bytes(10)) -> str:
    """An id as it would have been made then, with that randomness."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: milliseconds * 1_000_000 + 999_999)
        patch.setattr(os, "urandom", lambda size: random[:size])
        return new_id("req")


@given(INSTANTS, RANDOM)
def test_an_id_holds_the_milliseconds_the_version_and_the_variant_of_rfc_9562(moment, random):
    value = uuid_of(id_at(moment, random))
    assert value.int >> 80 == moment
    assert value.version == 7
    assert value.variant == uuid.RFC_4122


@given(INSTANTS, RANDOM)
def test_74_bits_of_an_id_are_the_random_ones(moment, random):
    value = uuid_of(id_at(moment, random)).int
    wanted = int.from_bytes(random, "big")
    fixed = (0xF << 76) | (0x3 << 62)
    assert value & ((1 << 80) - 1) & ~fixed == wanted & ~fixed


@given(INSTANTS, INSTANTS, RANDOM, RANDOM)
def test_ids_sort_by_their_time_as_text_and_as_uuid(one, other, random, more_random):
    if one == other:
        return
    earlier, later = id_at(min(one, other), random), id_at(max(one, other), more_random)
    assert earlier < later
    assert uuid_of(earlier) < uuid_of(later)


def test_an_id_is_its_prefix_and_26_digits_of_the_crockford_alphabet():
    prefix, _, suffix = new_id("own").partition("_")
    assert prefix == "own"
    assert len(suffix) == 26
    assert set(suffix) <= set("0123456789abcdefghjkmnpqrstvwxyz")


def test_ids_made_in_the_same_millisecond_differ():
    assert len({new_id("req") for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize(("suffix", "text"), SPECIFIED)
def test_the_examples_of_the_specification_are_read(suffix, text):
    assert uuid_of(f"prefix_{suffix}") == uuid.UUID(text)
    assert uuid_of(f"my_prefix_{suffix}") == uuid.UUID(text)


@given(st.uuids())
def test_every_uuid_survives_the_way_to_text_and_back(value):
    assert uuid_of(f"req_{ids._encode(value.int)}") == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "req",
        "req_",
        "req_01h455vb4pex5vsknk084sn02",
        "req_01h455vb4pex5vsknk084sn02qq",
        "req_8zzzzzzzzzzzzzzzzzzzzzzzzz",  # More than 128 bits.
        "req_01H455VB4PEX5VSKNK084SN02Q",
        "req_01h455vb4pex5vsknk084sn02i",
        "req_01h455vb4pex5vsknk084sn02l",
        "req_01h455vb4pex5vsknk084sn02o",
        "req_01h455vb4pex5vsknk084sn02u",
        "req_-1h455vb4pex5vsknk084sn02q",
        "req_01h455vb4pex5vsknk084sn02\n",
        "req_0٣h455vb4pex5vsknk084sn02q",
        "01890a5d-ac96-774b-bcce-b302099a8057",
    ],
)
def test_what_is_no_id_is_refused(text):
    with pytest.raises(ValueError, match="not an id"):
        uuid_of(text)


@given(st.text(max_size=40))
def test_reading_any_text_gives_its_value_or_says_that_it_is_no_id(text):
    try:
        value = uuid_of(text)
    except ValueError:
        return
    assert text.endswith(ids._encode(value.int))


def test_a_refusal_repeats_only_the_beginning_of_a_long_text():
    with pytest.raises(ValueError, match="not an id") as caught:
        uuid_of("x" * 10_000)
    assert len(str(caught.value)) < 100
