"""How a log record looks: Logstash's JSON layout for machines, one line of words for eyes.

A record is an event name and fields; whatever is in them, it is one line. Exceptions are told by
their type and the places they passed, without their messages, source lines or values: those can
hold prompts and credentials.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import orjson

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PLACES = 6
"""How many places of an exception's way are named, the innermost last."""
_DEPTH = 6
"""How deep the values of a field are told."""


class LogstashFormatter(logging.Formatter):
    """Logstash's layout: `@timestamp`, `@version`, then the event and its fields.

    Args:
        process: which part of Torana writes (`web`, `up`, ...).
    """

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process
        self._host = socket.gethostname()

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        fields = _fields(record)
        # The layout's own come last: no field takes their place.
        fields |= {
            "@timestamp": _timestamp(record),
            "@version": "1",
            "level": record.levelname,
            "event": record.getMessage(),
            "logger": record.name,
            "host": self._host,
            "process": self._process,
            "pid": os.getpid(),
        }
        try:
            return orjson.dumps(fields, default=_plain).decode()
        except (orjson.JSONEncodeError, RecursionError):
            # Numbers beyond 64 bits, lone surrogates, keys that are no text: rare, so slow is fine.
            return json.dumps(_tame(fields))


class TextFormatter(logging.Formatter):
    """`12:30:45.123 INFO call.settled request_id=req_... status=ok`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of words."""
        fields = " ".join(f"{name}={_quoted(value)}" for name, value in _fields(record).items())
        event = _one_line(record.getMessage())
        line = f"{_timestamp(record)[11:23]} {record.levelname} {event} {fields}"
        return line.rstrip()


def _timestamp(record: logging.LogRecord) -> str:
    instant = datetime.fromtimestamp(record.created, UTC)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        fields["error_type"] = _type_name(error)
        fields["error_where"] = places(error.__traceback__)
        cause = error.__cause__ or error.__context__
        if cause is not None:
            fields["error_cause"] = _type_name(cause)
    return fields


def places(trace: TracebackType | None) -> list[str]:
    """The last places that an exception passed, as `module file:line`, without source lines."""
    frames = traceback.extract_tb(trace)[-_PLACES:]
    return [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]


def _short(filename: str) -> str:
    for marker in ("/site-packages/", "/src/"):
        if marker in filename:
            return filename.rpartition(marker)[2]
    return filename.rpartition("/")[2]


def _type_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _plain(value: object) -> str:
    """A value in words; an exception is told by its type, and what can't be told by its own."""
    if isinstance(value, BaseException):
        return _type_name(value)
    try:
        return str(value)
    except Exception:  # noqa: BLE001 -- whatever a value's own words raise, its record must not be lost
        return f"<{type(value).__name__}>"


def _tame(value: object, depth: int = 0) -> object:
    """A value as what any JSON encoder takes."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if depth >= _DEPTH:
        return f"<{type(value).__name__}>"
    if isinstance(value, dict):
        return {_plain(key): _tame(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tame(item, depth + 1) for item in value]
    return _tame(_plain(value))


def _quoted(value: object) -> str:
    text = _one_line(_plain(value))
    return f'"{text}"' if " " in text or not text else text


def _one_line(text: str) -> str:
    """A text without what ends a line, controls a terminal or can't be written."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
