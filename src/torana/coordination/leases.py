"""Leases in Redis: what only one process does at a time, as well as that can be had.

A lease ends by itself. Where Redis is away or can't keep one, everybody has it: what leases guard
may be done twice, and must not be left undone.
"""

from __future__ import annotations

from torana.coordination.client import SharedRedis


def hold(redis: SharedRedis, key: str, owner: str, milliseconds: int) -> bool:
    """Take a lease or renew it.

    Args:
        redis: where it is kept.
        key: its name.
        owner: who asks; a random name of the process.
        milliseconds: until it ends.

    Returns:
        Whether no other process has it.
    """
    answers = redis.execute(
        [("SET", key, owner, "PX", milliseconds, "NX"), ("GET", key)],
    )
    if answers is None or answers[1] is None:
        return True
    taken, present = answers
    if present != owner.encode():
        return False
    if taken is None:
        redis.execute([("PEXPIRE", key, milliseconds)])
    return True


def holder(redis: SharedRedis, key: str) -> str | None:
    """Who has a lease, if anybody is known to have it."""
    owner = redis.get(key)
    return None if owner is None else owner.decode(errors="replace")


def give_back(redis: SharedRedis, key: str, owner: str) -> None:
    """End a lease, if `owner` still has it."""
    if holder(redis, key) == owner:
        redis.delete(key)
