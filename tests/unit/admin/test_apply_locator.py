"""The lines of a TOML text's keys."""

from __future__ import annotations

import tomllib
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.admin.apply.locator import Lines

TEXT = dedent(
    """\
    # A comment with [brackets] = "and more"
    hosts = ["a", 'b', # with ] a comment
      "c]"]

    [[models]]   # line 5
    name = "one"
    targets = [
      { provider = "x", when = { tools = true } },
      # { provider = "no" }
      { provider = "y", a = [
        1, # }
        "2"], model = "m,}]" },
      # { provider = "no" }
    ]
    deadlines.total = 5

    [[ models ]]
    "na\\u006de" = 1979-05-27 07:32:00
    text = \"""
    [[models]]
    name = 1 \\"\"" \"\"""
    raw = '''
    [x]
    ''''
    'quoted.key' = -1e3 # =

    [models.cache]
    seconds = 300
    [[models.extra]]
    [[models.extra]]
    a = {b = [[1, 2], [
      3]]}
    [ deep . "er table" ]
    last = true"""
)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("hosts",), 2),
        (("hosts", 0), 2),
        (("hosts", 2), 3),
        (("models",), 5),
        (("models", 0), 5),
        (("models", 0, "name"), 6),
        (("models", 0, "targets"), 7),
        (("models", 0, "targets", 0), 8),
        (("models", 0, "targets", 0, "when", "tools"), 8),
        (("models", 0, "targets", 1), 10),
        (("models", 0, "targets", 1, "provider"), 10),
        (("models", 0, "targets", 1, "a", 0), 11),
        (("models", 0, "targets", 1, "model"), 12),
        (("models", 0, "deadlines"), 15),
        (("models", 0, "deadlines", "total"), 15),
        (("models", 1), 17),
        (("models", 1, "name"), 18),
        (("models", 1, "text"), 19),
        (("models", 1, "raw"), 22),
        (("models", 1, "quoted.key"), 25),
        (("models", 1, "cache"), 27),
        (("models", 1, "cache", "seconds"), 28),
        (("models", 1, "extra"), 29),
        (("models", 1, "extra", 0), 29),
        (("models", 1, "extra", 1), 30),
        (("models", 1, "extra", 1, "a", "b", 0, 1), 31),
        (("models", 1, "extra", 1, "a", "b", 1, 0), 32),
        (("deep",), 33),
        (("deep", "er table"), 33),
        (("deep", "er table", "last"), 34),
    ],
    ids=str,
)
def test_a_key_has_the_line_where_it_stands(path, line):
    tomllib.loads(TEXT)
    assert Lines(TEXT).of(path) == line
    assert Lines(TEXT.replace("\n", "\r\n")).of(path) == line


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("models", 0, "targets", 1, "weight"), 10),
        (("models", 0, "targets", 7), 7),
        (("models", 9), 5),
        (("nothing",), 1),
        ((), 1),
    ],
    ids=str,
)
def test_what_is_not_there_has_the_line_of_what_it_would_stand_in(path, line):
    assert Lines(TEXT).of(path) == line


def test_inline_tables_may_go_over_lines_as_later_versions_of_toml_allow_it():
    text = "a = {\n  b = 1, # }\n  c.d = 2,\n}\ne = 3"
    lines = Lines(text)
    assert [lines.of(path) for path in (("a", "b"), ("a", "c", "d"), ("e",))] == [2, 3, 5]


@pytest.mark.parametrize("rest", ["?", "a", "a = ", "a = ?]", "[b", "a = [1 2]", '"\\q" = 1'])
def test_a_text_that_is_not_understood_is_located_as_far_as_it_is(rest):
    lines = Lines(f"first = 1\n\n{rest}")
    assert lines.of(("first",)) == 1
    assert lines.of(("a", 5)) in {1, 3}


def test_what_is_nested_too_deeply_has_the_line_of_its_beginning():
    text = "first = 1\ndeep = " + "[\n" * 5000 + "]" * 5000
    assert Lines(text).of(("deep", *[0] * 4999)) >= 2


# --- any document ------------------------------------------------------------------------------

NAMES = st.text("ab-_ .\"'\\#=[]{},é\n", min_size=1, max_size=4)
LEAVES = st.one_of(
    st.integers(-9, 9),
    st.booleans(),
    st.text("ab \"'\\#=[]{},\né", max_size=6),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
TABLES = st.dictionaries(NAMES, VALUES, max_size=4)
GAPS = st.sampled_from(["", "\n", "# ] } = '\n", "  # [x]\n\n"])


class Writer:
    """Writes a document as TOML, and remembers the line of every key."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.text = ""
        self.lines: dict[tuple[str | int, ...], int] = {}
        self._draw = draw

    def mark(self, path: tuple[str | int, ...]) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def key(self, name: str) -> None:
        if name.replace("-", "a").replace("_", "a").isascii() and name.isalpha():
            self.text += name
        elif "'" not in name and "\n" not in name and self._draw(st.booleans()):
            self.text += f"'{name}'"
        else:
            self.text += self.basic(name)

    @staticmethod
    def basic(text: str) -> str:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'

    def table(self, table: dict[str, object], path: tuple[str | int, ...]) -> None:
        for name, value in table.items():
            self.text += self._draw(GAPS)
            self.mark((*path, name))
            self.key(name)
            self.text += " = "
            self.value(value, (*path, name))
            self.text += "\n"

    def value(self, value: object, path: tuple[str | int, ...]) -> None:
        if isinstance(value, list):
            self.text += "["
            for position, each in enumerate(value):
                self.text += self._draw(GAPS) + " "
                self.mark((*path, position))
                self.value(each, (*path, position))
                self.text += self._draw(GAPS) + ","
            self.text += self._draw(GAPS) + "]"
        elif isinstance(value, dict):
            self.text += "{"
            for position, (name, each) in enumerate(value.items()):
                self.text += ", " if position else ""
                self.mark((*path, name))
                self.key(name)
                self.text += "="
                self.value(each, (*path, name))
            self.text += "}"
        elif isinstance(value, str):
            plain = "\\" not in value and "'''" not in value and not value.endswith("'")
            if plain and self._draw(st.booleans()):
                self.text += f"'''\n{value}'''"
            else:
                self.text += self.basic(value)
        else:
            self.text += str(value).lower()


@st.composite
def documents(draw: st.DrawFn) -> Writer:
    writer = Writer(draw)
    writer.table(draw(TABLES), ())
    for number in range(draw(st.integers(0, 2))):
        writer.text += draw(GAPS)
        writer.mark((f"table {number}",))
        writer.text += f"[ 'table {number}' ] # ]\n"
        writer.table(draw(TABLES), (f"table {number}",))
    for number in range(draw(st.integers(0, 3))):
        writer.text += draw(GAPS)
        writer.mark(("many",))
        writer.mark(("many", number))
        writer.text += "[[many]]\n"
        writer.table(draw(TABLES), ("many", number))
    return writer


@given(documents())
def test_every_key_of_any_document_has_its_line(written):
    tomllib.loads(written.text)  # It is one.
    lines = Lines(written.text)
    assert {path: lines.of(path) for path in written.lines} == written.lines
