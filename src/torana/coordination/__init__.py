"""What is shared through Redis. All of it may be lost at any moment; no call waits for it long."""

from torana.coordination.active_checks import CHECK_LOOP_SECONDS, ActiveChecks, CheckPlan
from torana.coordination.client import SharedRedis, open_redis, redis_answers
from torana.coordination.health_sync import SYNC_SECONDS, HealthSync

__all__ = [
    "CHECK_LOOP_SECONDS",
    "SYNC_SECONDS",
    "ActiveChecks",
    "CheckPlan",
    "HealthSync",
    "SharedRedis",
    "open_redis",
    "redis_answers",
]
