"""What the end of an attempt says of its target: one table over the tree of errors. Pure."""

from __future__ import annotations

from typing import Literal

from torana.errors import (
    NoTargetAvailable,
    ProviderGone,
    ToranaError,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
)

Verdict = Literal["success", "failure", "cooling", "neutral"]

_BY_CLASS: tuple[tuple[type[ToranaError], Verdict], ...] = (
    # A provider that refuses a request works.
    (UpstreamRejected, "success"),
    (UpstreamRateLimited, "cooling"),
    # Nothing was sent.
    (NoTargetAvailable, "neutral"),
    (ProviderGone, "neutral"),
    # Unreachable, silent, cut, garbled, forbidden, refusing our key, 5xx, overloaded.
    (UpstreamError, "failure"),
    # The caller hung up, this process stops, or something of ours broke.
    (ToranaError, "neutral"),
)
"""The first class that fits counts."""


def verdict_of(error: ToranaError | None) -> Verdict:
    """What an attempt that ended so says of its target.

    Args:
        error: None when it ended well.
    """
    if error is None:
        return "success"
    if isinstance(error, UpstreamError):
        if error.other_key:
            # It is about one of the keys; the next attempt, with another, tells of the target.
            return "neutral"
        if isinstance(error, UpstreamOverloaded) and error.cooldown is not None:
            return "cooling"
    return next(verdict for kind, verdict in _BY_CLASS if isinstance(error, kind))
