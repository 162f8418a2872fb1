"""Where in a TOML text a key stands. Pure.

`tomllib` gives values without positions, so this walks over the structure of a text that it has
accepted: headers, keys, arrays and inline tables. It knows no values, only where they end. A text
that it does not understand is located as far as it got; what is unknown then has the line of what
it stands in.
"""

from __future__ import annotations

import contextlib
import re
import tomllib

Path = tuple[str | int, ...]
"""Keys and positions in arrays: `("models", 1, "targets", 0, "weight")`."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
_LONG_BASIC = re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}', re.DOTALL)
_LONG_LITERAL = re.compile(r"'''(?:[^']|'(?!''))*'{3,5}", re.DOTALL)
_PLAIN = re.compile(r"[^\n#,\]}]+")
"""A number, a boolean or an instant, and the blanks after it."""
_BLANKS = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")


class Lines:
    """The lines of a text's keys, counted from 1.

    Args:
        text: TOML that `tomllib` has accepted.
    """

    def __init__(self, text: str) -> None:
        scanner = _Scanner(text.replace("\r\n", "\n"))
        with contextlib.suppress(_LostError, RecursionError):
            scanner.run()
        self._lines = scanner.lines

    def of(self, path: Path) -> int:
        """The line of a key or an array's element, or else of the nearest thing around it."""
        for length in range(len(path), 0, -1):
            line = self._lines.get(path[:length])
            if line is not None:
                return line
        return 1


class _LostError(Exception):
    """The text is not as the scanner expects it."""


class _Scanner:
    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0
        self._elements: dict[Path, int] = {}
        """How many tables each array of tables has so far."""

    def run(self) -> None:
        """Go over the whole text."""
        table: Path = ()
        self._skip(_GAP)
        while self._at < len(self._text):
            if self._peek("["):
                table = self._header()
            else:
                self._pair(table)
            self._skip(_GAP)

    def _header(self) -> Path:
        line = self._line_here()
        many = self._peek("[[")
        self._take("[[" if many else "[")
        self._skip(_BLANKS)
        names = self._key()
        self._take("]]" if many else "]")
        table = self._inside(names[:-1], line)
        last = (*table, names[-1])
        self.lines.setdefault(last, line)
        if not many:
            return self._latest(last)
        position = self._elements.get(last, 0)
        self._elements[last] = position + 1
        self.lines[*last, position] = line
        return (*last, position)

    def _inside(self, names: list[str], line: int) -> Path:
        """The table of some names; of an array of tables, its latest."""
        table: Path = ()
        for name in names:
            self.lines.setdefault((*table, name), line)
            table = self._latest((*table, name))
        return table

    def _latest(self, path: Path) -> Path:
        count = self._elements.get(path)
        return path if count is None else (*path, count - 1)

    def _pair(self, table: Path) -> None:
        line = self._line_here()
        path = table
        for name in self._key():
            path = (*path, name)
            self.lines.setdefault(path, line)
        self._take("=")
        self._skip(_BLANKS)
        self._value(path)

    def _key(self) -> list[str]:
        """A key with its dots, and the blanks after it."""
        names = []
        while True:
            names.append(self._name())
            self._skip(_BLANKS)
            if not self._peek("."):
                return names
            self._take(".")
            self._skip(_BLANKS)

    def _name(self) -> str:
        for pattern in (_BARE, _LITERAL, _BASIC):
            found = pattern.match(self._text, self._at)
            if found:
                self._at = found.end()
                name = found[0]
                if pattern is _BARE:
                    return name
                return name[1:-1] if pattern is _LITERAL else _unescaped(name)
        raise _LostError

    def _value(self, path: Path) -> None:
        if self._peek("["):
            self._array(path)
        elif self._peek("{"):
            self._inline_table(path)
        else:
            self._scalar()

    def _array(self, path: Path) -> None:
        self._take("[")
        position = 0
        self._skip(_GAP)
        while not self._peek("]"):
            self.lines[*path, position] = self._line_here()
            self._value((*path, position))
            position += 1
            self._next("]")
        self._take("]")

    def _inline_table(self, path: Path) -> None:
        self._take("{")
        self._skip(_GAP)
        while not self._peek("}"):
            self._pair(path)
            self._next("}")
        self._take("}")

    def _next(self, end: str) -> None:
        """Over the comma to the next element, or to the end."""
        self._skip(_GAP)
        if not self._peek(end):
            self._take(",")
            self._skip(_GAP)

    def _scalar(self) -> None:
        for pattern in (_LONG_BASIC, _LONG_LITERAL, _BASIC, _LITERAL, _PLAIN):
            found = pattern.match(self._text, self._at)
            if found:
                self._at = found.end()
                return
        raise _LostError

    def _peek(self, text: str) -> bool:
        return self._text.startswith(text, self._at)

    def _take(self, text: str) -> None:
        if not self._peek(text):
            raise _LostError
        self._at += len(text)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        if found:
            self._at = found.end()

    def _line_here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line


def _unescaped(quoted: str) -> str:
    try:
        (name,) = tomllib.loads(f"{quoted} = 0")
    except tomllib.TOMLDecodeError:
        raise _LostError from None
    return name
