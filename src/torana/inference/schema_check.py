"""Checks an answer whose model could only be asked, not held, to follow a JSON schema.

The schema is the caller's own, and the check runs in the process that serves everybody. So it takes
a bounded number of steps, and keywords whose single step can take for ever are not judged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from torana.core.chat import ChatReply, Text
from torana.dialects.wire import BAD_JSON

_FENCED = re.compile(r"\s*```(?:json)?[ \t]*\r?\n(.*?)\r?\n?```\s*", re.DOTALL | re.IGNORECASE)
_MAX_TEXT = 1024 * 1024
"""A longer answer is not checked: it would hold up other calls."""
_MAX_SCHEMA = 256 * 1024
_MAX_STEPS = 50_000
_ENDLESS = frozenset({"pattern", "patternProperties", "uniqueItems"})
"""Expressions that a caller chose, and comparing each with each."""

_Keyword = Callable[[Any, Any, Any, Any], Iterator[Any] | None]


class _TooLongError(Exception):
    """The check takes more steps than it may."""


def unfenced(reply: ChatReply) -> ChatReply:
    """A reply whose JSON stands without the fences that models like to put around it."""
    parts = tuple(
        msgspec.structs.replace(part, text=fenced[1])
        if isinstance(part, Text) and (fenced := _FENCED.fullmatch(part.text)) is not None
        else part
        for part in reply.parts
    )
    return msgspec.structs.replace(reply, parts=parts)


def follows(text: str, schema: dict[str, Any]) -> bool | None:
    """Whether a text is JSON that follows a schema.

    Args:
        text: of the answer.
        schema: the caller's own; a broken one can't be followed.

    Returns:
        None when the check would take too long, or would have to judge an expression.
    """
    # Imported where it is needed: most processes never are asked.
    import jsonschema  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415

    if len(text) > _MAX_TEXT or len(msgspec.json.encode(schema)) > _MAX_SCHEMA:
        return None
    try:
        value = msgspec.json.decode(text.encode("utf-8", "surrogatepass"))
        kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        kind.check_schema(schema)
        bounded = jsonschema.validators.extend(kind, _bounded(kind.VALIDATORS))
        # References lead nowhere outside of the schema: no registry is given.
        return bool(bounded(schema).is_valid(value))
    except _TooLongError:
        return None
    except (*BAD_JSON, UnicodeError, jsonschema.SchemaError, Unresolvable):
        return False


def _bounded(keywords: Mapping[str, _Keyword]) -> dict[str, _Keyword]:
    """A schema's keywords, which together take at most so many steps."""
    steps = 0

    def counted(name: str, keyword: _Keyword) -> _Keyword:
        def judge(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
            nonlocal steps
            steps += 1
            if steps > _MAX_STEPS or name in _ENDLESS:
                raise _TooLongError
            yield from keyword(validator, wanted, value, schema) or ()

        return judge

    return {name: counted(name, keyword) for name, keyword in keywords.items()}
