"""What a log record looks like: one line, whatever is in it, and nothing that must stay here."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.errors import UpstreamCut
from torana.obs.formats import LogstashFormatter, TextFormatter, places

FORMATTERS = [LogstashFormatter("web"), TextFormatter()]
NAMES = ["json", "text"]
SECRET = "the-prompt-of-a-user"


def record(event: str = "call.settled", **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("torana.call", logging.INFO, "x.py", 1, event, (), None)
    made.created = datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC).timestamp()
    vars(made).update(fields)
    return made


def is_one_line(text: str) -> bool:
    return "\n" not in text and "\r" not in text


def as_json(made: logging.LogRecord) -> dict[str, Any]:
    line = FORMATTERS[0].format(made)
    assert is_one_line(line)
    value: dict[str, Any] = json.loads(line)
    return value


def raised(error: Exception, cause: Exception | None = None) -> logging.LogRecord:
    """A record of an error that was really raised."""
    made = record("request.broken")
    try:
        raise error from cause
    except type(error):
        made.exc_info = sys.exc_info()
    return made


def test_a_record_in_logstashs_layout():
    value = as_json(record(request_id="req_1", cost_nano=5, streamed=True, first_byte_ms=None))
    assert value.pop("host")
    assert value.pop("pid")
    assert value == {
        "@timestamp": "2026-01-02T03:04:05.678Z",
        "@version": "1",
        "level": "INFO",
        "event": "call.settled",
        "logger": "torana.call",
        "process": "web",
        "request_id": "req_1",
        "cost_nano": 5,
        "streamed": True,
        "first_byte_ms": None,
    }


def test_a_record_in_words():
    assert TextFormatter().format(record(request_id="req_1", cost_nano=5)) == (
        "03:04:05.678 INFO call.settled request_id=req_1 cost_nano=5"
    )
    assert TextFormatter().format(record("up.ready")) == "03:04:05.678 INFO up.ready"


def test_a_value_with_a_space_or_none_at_all_is_quoted_in_words():
    line = TextFormatter().format(record(name_of="two words", empty=""))
    assert line.endswith('name_of="two words" empty=""')


def test_arguments_of_other_libraries_records_are_filled_in():
    made = logging.LogRecord("alembic", logging.INFO, "", 0, "Running %s -> %s", ("a", "b"), None)
    assert as_json(made)["event"] == "Running a -> b"


ODD = [
    2**70,
    -(2**64),
    [2**65],
    float("nan"),
    float("-inf"),
    "\ud800",
    {"\ud800": 1},
    {1: "one"},
    {(1, 2): 3},
    {"a", "b"},
    (1, 2),
    b"\xff\x00",
    datetime(2026, 1, 2, tzinfo=UTC),
    timedelta(seconds=1),
    UUID(int=1),
    Path("/tmp/x"),
    object(),
    len,
    "line\nline\r\u2028line",
    "\x00\x1b[31m",
    'quote"and\\slash',
    [[[[[[[[[[1]]]]]]]]]],
]


@pytest.mark.parametrize("formatter", FORMATTERS, ids=NAMES)
@pytest.mark.parametrize("value", ODD, ids=lambda value: ascii(value)[:30])
def test_whatever_a_field_holds_a_record_is_one_line(formatter, value):
    line = formatter.format(record(odd=value, request_id="req_1"))
    assert is_one_line(line)
    assert "req_1" in line
    line.encode()


@pytest.mark.parametrize("value", ODD, ids=lambda value: ascii(value)[:30])
def test_whatever_a_field_holds_a_record_is_valid_json(value):
    assert as_json(record(odd=value))["event"] == "call.settled"


def test_a_field_that_refers_to_itself_is_still_one_line():
    loop: list[Any] = []
    loop.append(loop)
    assert as_json(record(odd=loop))["event"] == "call.settled"


class Unspeakable:
    def __str__(self) -> str:
        raise ValueError(SECRET)

    __repr__ = __str__


@pytest.mark.parametrize("formatter", FORMATTERS, ids=NAMES)
def test_a_field_that_can_not_be_told_does_not_lose_the_record(formatter):
    line = formatter.format(record(odd=Unspeakable(), request_id="req_1"))
    assert "req_1" in line
    assert SECRET not in line


FIELDS = st.dictionaries(
    st.text(st.characters(categories=["Ll", "Lu", "Nd"]), min_size=1, max_size=8).map("x_".__add__),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)


@given(FIELDS)
def test_any_fields_make_one_line_of_valid_json(fields):
    value = as_json(record(**fields))
    assert set(fields) <= set(value)


@given(FIELDS)
def test_any_fields_make_one_line_of_words(fields):
    assert is_one_line(TextFormatter().format(record(**fields)))


@given(st.text())
def test_any_event_makes_one_line(event):
    made = record(event.replace("%", ""))
    assert is_one_line(FORMATTERS[0].format(made))
    assert is_one_line(FORMATTERS[1].format(made))


def test_a_forged_line_in_a_path_stays_within_its_field():
    line = TextFormatter().format(record(path="/x\n03:04:05.678 INFO call.settled cost_nano=0"))
    assert is_one_line(line)


@pytest.mark.parametrize("formatter", FORMATTERS, ids=NAMES)
def test_an_exception_is_told_by_its_types_and_places_and_not_by_its_words(formatter):
    line = formatter.format(raised(UpstreamCut(SECRET), ValueError(SECRET)))
    assert SECRET not in line
    assert "torana.errors.upstreams.UpstreamCut" in line
    assert "ValueError" in line
    assert "test_formats.py" in line


@pytest.mark.parametrize("formatter", FORMATTERS, ids=NAMES)
def test_an_exception_as_a_field_is_not_told_by_its_words_either(formatter):
    line = formatter.format(record(reason=UpstreamCut(SECRET)))
    assert SECRET not in line
    assert "UpstreamCut" in line


def test_the_fields_of_an_exception():
    value = as_json(raised(UpstreamCut(SECRET), ValueError(SECRET)))
    assert value["error_type"] == "torana.errors.upstreams.UpstreamCut"
    assert value["error_cause"] == "ValueError"
    assert all(isinstance(place, str) for place in value["error_where"])
    assert value["error_where"][-1].endswith(" raised")


def test_a_record_that_was_asked_for_an_exception_without_one_is_fine():
    made = record()
    made.exc_info = (None, None, None)
    assert "error_type" not in as_json(made)


def deep(levels: int) -> None:
    if levels == 0:
        raise KeyError(SECRET)
    deep(levels - 1)


def test_only_the_last_places_of_a_long_way_are_told():
    with pytest.raises(KeyError) as caught:
        deep(50)
    told = places(caught.value.__traceback__)
    assert len(told) == 6
    assert all("/" not in place.split(":")[0] or "unit/obs" in place for place in told)


def test_places_name_no_folder_of_this_machine():
    try:
        json.loads("{")
    except json.JSONDecodeError as error:
        for place in places(error.__traceback__):
            assert not place.startswith("/")


def test_a_field_can_not_take_the_place_of_the_layouts_own():
    forged = dict.fromkeys(("level", "pid", "host", "@timestamp", "process"), "forged")
    assert "forged" not in {as_json(record(**forged))[name] for name in forged}
