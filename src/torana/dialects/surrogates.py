"""Half characters in JSON: an escape of a surrogate without its other half.

Such a text is no Unicode and no decoder of ours takes it, but models and sloppy servers write it,
most often where a stream cuts an emoji in two.
"""

from __future__ import annotations

import re

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_REPLACEMENT = rb"\ufffd"


def without_halves(data: bytes) -> bytes | None:
    """JSON with the replacement character in place of every half one, of the same length.

    Args:
        data: JSON that could not be decoded.

    Returns:
        None when there is no half character, so that something else is wrong.
    """
    mended, count = data, 0
    if b"\\ud" in data or b"\\uD" in data:

        def mend(found: re.Match[bytes]) -> bytes:
            nonlocal count
            if found[1] is None:
                return found[0]
            count += 1
            return _REPLACEMENT

        mended = _ESCAPE.sub(mend, data)
    return mended if count else None
