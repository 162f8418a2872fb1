"""Cutting a long text where every vocabulary cuts it, so that the parts count what the whole does.

A tokenizer cuts a text by its pattern and merges the bytes of each cut by themselves. So a text may
be counted in parts, if the parts end where the pattern ends one. Anywhere else the parts may count
more than the whole, but also less: merging is greedy, and a neighbour can spoil a good merge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

PIECE = 8_192
"""Characters that are merged at once: enough to be quick, few enough to be always quick."""
_LETTERS = r"0-9A-Za-z\u3040-\u309f\u30a0-\u30ff\u3400-\u4db5\u4e00-\u9fa5\uac00-\ud7a3"
_MARKS = r"!\"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~\u3001\u3002\uff01\uff0c\uff0e\uff1a\uff1b\uff1f"
_CUT = re.compile(
    r"(?<=\S)(?= )"  # Only a cut's first character is a space, or all are white.
    r"|(?<=\n)(?=[^\s/])"  # No cut goes on after its newlines; o200k's may with a slash.
    rf"|(?<=[{_LETTERS}])(?=[{_MARKS}])"  # After letters and digits, only an apostrophe belongs.
)
"""Where every vocabulary ends a cut; of letters and marks only such as all versions of Unicode know
as that."""


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The parts of a text in order, and whether each may be merged.

    What has no safe end for longer than `PIECE` may not: a million equal letters would take a
    tokenizer seconds, and a million spaces break it.
    """
    start = 0
    while len(text) - start > PIECE:
        limit = start + PIECE
        end = _last_cut(text, start, limit)
        if end is None:
            following = _CUT.search(text, limit)
            end = len(text) if following is None else following.start()
            yield text[start:end], False
        else:
            yield text[start:end], True
        start = end
    yield text[start:], True


def _last_cut(text: str, start: int, limit: int) -> int | None:
    """The last safe end after `start` and not after `limit`."""
    reach = 64
    while True:
        begin = max(start + 1, limit - reach)
        found = None
        for match in _CUT.finditer(text, begin, limit + 1):
            if match.start() <= limit:
                found = match.start()
        if found is not None or begin == start + 1:
            return found
        reach *= 8
