"""The scripts of `echo`: a model's name says what the provider shall do.

`echo` answers with the last user message. Any other name is a comma-separated list of `word=value`:

| word | effect |
|---|---|
| `status=N` | answer with HTTP status N and an error body |
| `until=N` | with `status`: fail only before try N, then answer |
| `retry_after=S` | with `status`: send `retry-after: S` |
| `delay_ms=N` | wait before the status line |
| `drip_ms=N` | wait between the chunks of a stream |
| `words=N` | answer with N words instead of the message |
| `cut=N` | close the connection after N chunks of a stream, or N bytes of JSON |
| `hang=1` | send nothing and keep the connection open |
| `garbage=1` | send what is not JSON: as the body, or as the second chunk of a stream |
| `usage=0` | leave the usage out |
"""

from __future__ import annotations

import msgspec

PLAIN = "echo"
_WORD_LIMIT = 100_000
_MILLISECONDS_LIMIT = 600_000


class ScriptError(ValueError):
    """A model's name is neither `echo` nor a script."""


class Script(msgspec.Struct, frozen=True):
    """What a model's name asks for; see the module's table."""

    status: int = 200
    until: int = 0
    retry_after: int = -1
    delay_ms: int = 0
    drip_ms: int = 0
    words: int = 0
    cut: int = -1
    hang: int = 0
    garbage: int = 0
    usage: int = 1


_LIMITS = {
    "status": (200, 599),
    "until": (0, 100),
    "retry_after": (0, 86_400),
    "delay_ms": (0, _MILLISECONDS_LIMIT),
    "drip_ms": (0, _MILLISECONDS_LIMIT),
    "words": (1, _WORD_LIMIT),
    "cut": (0, 10**9),
    "hang": (0, 1),
    "garbage": (0, 1),
    "usage": (0, 1),
}


def parse(model: str) -> Script:
    """Read a model's name.

    Raises:
        ScriptError: it is not a script; the message says which word is wrong.
    """
    if model == PLAIN:
        return Script()
    values: dict[str, int] = {}
    for part in model.split(","):
        word, _, text = part.strip().partition("=")
        limits = _LIMITS.get(word)
        if limits is None:
            known = ", ".join(_LIMITS)
            message = f"the echo provider does not know {word!r}; it knows {PLAIN!r} and {known}"
            raise ScriptError(message)
        if not text.isascii() or not text.isdigit() or not limits[0] <= int(text) <= limits[1]:
            message = f"echo: {word!r} takes a whole number from {limits[0]} to {limits[1]}"
            raise ScriptError(message)
        values[word] = int(text)
    return Script(**values)
