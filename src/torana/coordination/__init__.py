"""What is shared through Redis. All of it may be lost at any moment; no call waits for it."""

from torana.coordination.client import redis_answers

__all__ = ["redis_answers"]
