"""Credentials in texts: keys and tokens with known beginnings, private keys, and what looks random.

The rule for what looks random is a careful one: hashes, UUIDs, names, paths and inline files stay.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from torana.guardrails.borders import is_inside_word
from torana.guardrails.linear import Expression

_KNOWN = Expression(
    r"sk-[A-Za-z0-9_-]{20,}"
    r"|gh[opsru]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}"
    r"|A(?:KIA|SIA)[A-Z0-9]{16}"
    r"|xox[a-z]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{20,}"
    r"|AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}"
    r"|[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9]{16,}"
    r"|hf_[A-Za-z0-9]{20,}|gsk_[A-Za-z0-9]{20,}|xai-[A-Za-z0-9]{20,}|r8_[A-Za-z0-9]{20,}"
    r"|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{16,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"
)
_NAMED = Expression(
    r"(?:api[_-]?key|secret[_-]?(?:access[_-]?)?key|(?:access|auth)[_-]?token|client[_-]?secret"
    r"|passw(?:or)?d)[\"']?[ \t]{0,3}[:=][ \t]{0,3}[\"']?([A-Za-z0-9+/_=.~-]{16,200})"
    r"|\bbearer[ \t]{1,3}([A-Za-z0-9+/_=.~-]{20,200})",
    ignore_case=True,
)
_RANDOM = Expression(r"[A-Za-z0-9_+-]{32,}={0,2}")
_HEADER = Expression(r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_BODY = re.compile(r"(?:(?:[ \t\r\n]|\\[nr])*+[A-Za-z0-9+/=]{16,}+)++")
"""Possessive, so that `re` never goes back in it; and it reads a part of a text without a copy."""
_FOOTER = "-----END "
_RULE = "-----"
_LONGEST_KEY = 20_000
_LONGEST_RANDOM = 200
"""Characters; longer runs are files in base64."""
_BITS = 4.2
"""Of entropy a character: 32 random base64 characters have about 4.5, names and hex below 4."""
_CHANGES = 0.35
"""The share of neighbours that are of different kinds (capital, small, digit, other): random
base64 has about two thirds, names made of words a fifth."""


def find_credentials(text: str) -> Iterator[tuple[int, int]]:
    """The spans of the credentials of a text; they may overlap."""
    yield from _private_keys(text)
    for match in _KNOWN.find_all(text):
        start = match.start()
        begins = not is_inside_word(text, start) and text[start - 1 : start] != "-"
        if begins and _is_no_name(match.group()):
            yield start, match.end()
    for match in _NAMED.find_all(text):
        group = 1 if match.start(1) >= 0 else 2
        if _is_mixed(match.group(group)):
            yield match.start(group), match.end(group)
    for match in _RANDOM.find_all(text):
        before = text[match.start() - 1 : match.start()]
        if before != "/" and _is_random(match.group()):
            yield match.start(), match.end()


def _private_keys(text: str) -> Iterator[tuple[int, int]]:
    past = footer = 0
    for match in _HEADER.find_all(text):
        if match.start() < past:
            continue
        if 0 <= footer < match.end():
            footer = text.find(_FOOTER, match.end())
        past = _end_of_key(text, match.end(), footer)
        yield match.start(), past


def _end_of_key(text: str, begin: int, footer: int) -> int:
    """Where a key ends: after its footer, or where what can be a key ends."""
    if 0 <= footer - begin <= _LONGEST_KEY:
        rule = text.find(_RULE, footer + len(_FOOTER), footer + 100)
        return footer + len(_FOOTER) if rule < 0 else rule + len(_RULE)
    body = _BODY.match(text, begin, begin + _LONGEST_KEY)
    return begin if body is None else body.end()


def _is_no_name(token: str) -> bool:
    """Whether it has a digit or a piece longer than words are: `sk-learn-...` is a name."""
    longest = max(len(piece) for piece in token.replace("_", "-").split("-"))
    return longest >= 16 or any(character.isdigit() for character in token)


def _is_mixed(token: str) -> bool:
    return any(character.isdigit() for character in token) and any(
        character.isalpha() for character in token
    )


def _is_random(token: str) -> bool:
    if len(token) > _LONGEST_RANDOM:
        return False
    kinds = [_kind(character) for character in token]
    if len({"A", "a", "0"} & set(kinds)) < 3:
        return False
    changes = sum(one != other for one, other in pairwise(kinds))
    return changes >= _CHANGES * len(token) and _entropy(token) >= _BITS


def _kind(character: str) -> str:
    if character.isdigit():
        return "0"
    if character.isalpha():
        return "A" if character.isupper() else "a"
    return "-"


def _entropy(token: str) -> float:
    """Bits a character, by how often each occurs in it."""
    size = len(token)
    return -sum(count / size * math.log2(count / size) for count in Counter(token).values())
