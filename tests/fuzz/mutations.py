"""Mutations of JSON values: what is dropped, doubled, retyped or nested, and how it is written.

A value may hold what `json` has no type for: `Literal` is written as it is (numbers beyond all
types, half of a surrogate pair), `Twins` writes a key twice.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st


@dataclass(frozen=True)
class Literal:
    """Text that is written as it is."""

    text: str


class Twins(dict[str, Any]):
    """An object whose first key is written twice, at the end with another value."""


JUNK: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    1.5,
    2**31,
    2**53,
    2**63,
    2**64,
    Literal("1e400"),
    Literal("-1e400"),
    Literal("1" + "0" * 400),
    Literal("-0"),
    Literal("1.0"),
    Literal("NaN"),
    "",
    " ",
    "x",
    "text",
    "\0",
    "\u2028\n\r\t",
    "naïve \U0001f600",
    Literal('"\\ud800"'),
    Literal('"\\udc00 x \\ud83d"'),
    "x" * 5_000,
    "data:image/png;base64,",
    "data:,",
    "https://[",
    "{",
    "{}",
    "torana.anthropic.!!!",
    "torana.openai.e30",
    [],
    {},
    [[]],
    [{}],
    [None],
    [1, "x", None],
    ["x"],
    {"type": None},
    {"type": 5},
    {"type": "text"},
    {"type": "text", "text": None},
    {"type": "image"},
    {"type": "tool_use"},
    {"type": "tool_result"},
    {"type": "function"},
    {"type": "unheard_of", "x": 1},
    {"": {"": ""}},
    Literal('{"a":1,"a":2}'),
    Literal("[" * 60 + "]" * 60),
    Literal('{"a":' * 60 + "1" + "}" * 60),
)
NAMES = (
    *(
        "type",
        "text",
        "content",
        "role",
        "model",
        "id",
        "name",
        "input",
        "output",
        "usage",
        "index",
    ),
    *("source", "data", "tools", "function", "arguments", "cache_control", "citations", "stream"),
    *("brand_new_field", "max_tokens", "n", "error", "delta", "choices", "item", "response", ""),
)

Path = tuple[Any, ...]


def paths(value: Any, above: Path = ()) -> list[Path]:
    """The paths of all values inside a value."""
    found: list[Path] = []
    if isinstance(value, dict):
        for name, inner in value.items():
            found += [(*above, name), *paths(inner, (*above, name))]
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += [(*above, index), *paths(inner, (*above, index))]
    return found


def _drop(parent: Any, last: Any, _dice: random.Random, _root: Any) -> None:
    del parent[last]


def _retype(parent: Any, last: Any, dice: random.Random, _root: Any) -> None:
    parent[last] = copy.deepcopy(dice.choice(JUNK))


def _double(parent: Any, last: Any, dice: random.Random, _root: Any) -> None:
    if isinstance(parent, list):
        parent.insert(dice.randint(0, len(parent)), copy.deepcopy(parent[last]))
    elif isinstance(parent[last], list):
        parent[last] = parent[last] * 2
    else:
        parent[last] = [parent[last], parent[last]]


def _nest(parent: Any, last: Any, dice: random.Random, _root: Any) -> None:
    inner = parent[last]
    parent[last] = dice.choice(([inner], {dice.choice(NAMES): inner}, [[inner]]))


def _unwrap(parent: Any, last: Any, dice: random.Random, _root: Any) -> None:
    inner = parent[last]
    if isinstance(inner, dict) and inner:
        parent[last] = dice.choice(list(inner.values()))
    elif isinstance(inner, list) and inner:
        parent[last] = dice.choice(inner)
    else:
        parent[last] = str(inner)


def _graft(parent: Any, last: Any, dice: random.Random, root: Any) -> None:
    """Put a copy of some other value of the body here."""
    other = dice.choice(paths(root))
    value = root
    for step in other:
        value = value[step]
    parent[last] = copy.deepcopy(value)


def _add(parent: Any, last: Any, dice: random.Random, _root: Any) -> None:
    target = parent[last]
    junk = copy.deepcopy(dice.choice(JUNK))
    if isinstance(target, dict):
        target[dice.choice(NAMES)] = junk
    elif isinstance(target, list):
        target.insert(dice.randint(0, len(target)), junk)
    else:
        parent[last] = junk


def _shuffle(parent: Any, last: Any, dice: random.Random, _root: Any) -> None:
    target = parent[last]
    if isinstance(target, list):
        dice.shuffle(target)
    else:
        _retype(parent, last, dice, None)


def _twin(parent: Any, last: Any, dice: random.Random, _root: Any) -> None:
    if isinstance(parent[last], dict) and parent[last]:
        parent[last] = Twins(parent[last])
    else:
        _retype(parent, last, dice, None)


Operation = Callable[[Any, Any, random.Random, Any], None]
OPERATIONS: tuple[Operation, ...] = (
    *(_retype, _retype, _retype, _drop, _double, _nest, _unwrap, _graft, _add, _shuffle, _twin),
)


def mutated(value: Any, dice: random.Random, *, times: int) -> Any:
    """A copy of a value with so many mutations."""
    root = copy.deepcopy(value)
    for _ in range(times):
        found = paths(root)
        if not found:
            return root
        *above, last = dice.choice(found)
        parent = root
        for step in above:
            parent = parent[step]
        dice.choice(OPERATIONS)(parent, last, dice, root)
    return root


def written(value: Any) -> bytes:
    """A value as JSON, with what JSON has no type for."""
    if isinstance(value, Literal):
        return value.text.encode("utf-8", "surrogatepass")
    if isinstance(value, Mapping):
        members = [json.dumps(name).encode() + b":" + written(each) for name, each in value.items()]
        if isinstance(value, Twins) and members:
            members.append(members[0].partition(b":")[0] + b":null")
        return b"{" + b",".join(members) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(written(each) for each in value) + b"]"
    return json.dumps(value).encode()


def broken(data: bytes, dice: random.Random) -> bytes:
    """Bytes that are cut, or have bytes that are changed, added or taken away."""
    if not data:
        return data
    kind = dice.randrange(4)
    at = dice.randrange(len(data))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]
    if kind == 2:
        return data[:at] + bytes(dice.randrange(256) for _ in range(3)) + data[at:]
    return data[:at] + data[at + dice.randint(1, 8) :]


@st.composite
def bodies(draw: st.DrawFn, seeds: list[Any]) -> bytes:
    """Mutated bodies of these seeds; now and then one whose bytes are broken too."""
    # One number for the dice: hypothesis then shrinks to the first bad number, which is enough,
    # for every mutation is told apart by its body, which the failure prints.
    dice = random.Random(draw(st.integers(0, 2**48)))
    seed = seeds[dice.randrange(len(seeds))]
    body = written(mutated(seed, dice, times=dice.choice((1, 1, 1, 2, 3, 6))))
    return broken(body, dice) if dice.random() < 0.05 else body
