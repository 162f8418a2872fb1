"""The strings inside JSON text: rewritten where they stand, while all else stays as it was.

Tool calls carry their arguments as JSON text. Guardrails work on what its strings say, whatever
escapes they are written with. Numbers, `true` and the like are not texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from torana.guardrails.base import TextFilter

_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SPECIAL = re.compile(r'["\\]')
_HALF = re.compile("[\ud800-\udfff]")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_HIGH = range(0xD800, 0xDC00)
_LOW = range(0xDC00, 0xE000)


def rewrite_strings(text: str, rewrite: Callable[[str], str]) -> str:
    """JSON text with other strings, keys too; what is no JSON is rewritten as one text."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return rewrite(text)

    def rewritten(found: re.Match[str]) -> str:
        said = json.loads(found[0], strict=False)
        better = rewrite(said)
        return found[0] if better == said else f'"{_escape(better)}"'

    return _STRING.sub(rewritten, text)


class JsonStringsFilter(TextFilter):
    """Passes the strings of a JSON text that comes in pieces through filters for texts.

    Args:
        make: makes the filter of one string.
    """

    def __init__(self, make: Callable[[], TextFilter]) -> None:
        self._make = make
        self._string: TextFilter | None = None
        """The filter of the string that is open."""
        self._escape = ""
        """What has come of an escape."""
        self._high = ""
        """The first half of a character that was written as two escapes."""

    def feed(self, text: str) -> str:
        """See `TextFilter`."""
        out: list[str] = []
        place = 0
        while place < len(text):
            if self._string is None:
                quote = text.find('"', place)
                past = len(text) if quote < 0 else quote + 1
                out.append(text[place:past])
                self._string = None if quote < 0 else self._make()
                place = past
            elif self._escape:
                place = self._add_escape(self._string, text, place, out)
            else:
                place = self._add_run(self._string, text, place, out)
        return "".join(out)

    def end(self) -> str:
        """See `TextFilter`; a string that was cut off stays without its end."""
        if self._string is None:
            return ""
        rest = self._say(self._string, "", last=True) + _escape(self._string.end())
        return rest + self._escape

    def _add_run(self, string: TextFilter, text: str, place: int, out: list[str]) -> int:
        special = _SPECIAL.search(text, place)
        stop = len(text) if special is None else special.start()
        if stop > place:
            out.append(self._say(string, text[place:stop]))
        if special is None:
            return stop
        if special[0] == "\\":
            self._escape = "\\"
        else:
            out += [self._say(string, "", last=True), _escape(string.end()), '"']
            self._string = None
        return stop + 1

    def _add_escape(self, string: TextFilter, text: str, place: int, out: list[str]) -> int:
        self._escape += text[place]
        kind = self._escape[1]
        if kind != "u" or len(self._escape) == len("\\u0000"):
            out.append(self._say(string, _meant(self._escape)))
            self._escape = ""
        return place + 1

    def _say(self, string: TextFilter, text: str, *, last: bool = False) -> str:
        said = self._high + text
        self._high = ""
        if len(said) == 2 and ord(said[0]) in _HIGH and ord(said[1]) in _LOW:
            said = said.encode("utf-16", "surrogatepass").decode("utf-16")
        elif not last and len(said) == 1 and ord(said) in _HIGH:
            self._high = said
            return ""
        return _escape(string.feed(said)) if said else ""


def _meant(escape: str) -> str:
    if escape[1] != "u":
        return _ESCAPED.get(escape[1], escape[1])
    try:
        return chr(int(escape.removeprefix("\\u"), 16))
    except ValueError:
        return escape


def _escape(text: str) -> str:
    """A text as it stands between quotes."""
    written = json.dumps(text, ensure_ascii=False)[1:-1]
    return _HALF.sub(lambda half: f"\\u{ord(half[0]):04x}", written)
