"""What a web process is made of: the composition root of its services.

Imported by a worker only, after gevent has patched it.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial

from torana.admin.configuration import REFRESH_SECONDS, Configuration
from torana.auth.api_keys import KeyRing
from torana.coordination import SharedRedis, open_redis
from torana.coordination.active_checks import CHECK_LOOP_SECONDS, ActiveChecks
from torana.coordination.health_sync import SYNC_SECONDS, HealthSync
from torana.core.ids import new_id
from torana.db.session import Database
from torana.inference.asking import CallPolicy
from torana.inference.cache import AnswerCache
from torana.inference.cache_store import RENEW_SECONDS
from torana.inference.checking import Checking
from torana.inference.conversations import PURPOSE as CONVERSATIONS
from torana.inference.conversations import Conversations
from torana.inference.free_calls import FreeCalls
from torana.inference.health import Health
from torana.inference.idempotency import PURPOSE, AnswerStore
from torana.inference.limits import Limits
from torana.inference.retry import RetryPolicy
from torana.inference.service import InferenceService
from torana.inference.stored_responses import StoredResponses
from torana.ledger.accounts import open_from_templates
from torana.ledger.open_lane import open_lane
from torana.ledger.owners import BEAT_SECONDS, OwnerHeartbeat
from torana.ledger.spool import Spool
from torana.ledger.teller import SPOOL_SECONDS, TICK_SECONDS, Teller
from torana.loops import Loop
from torana.obs import logs
from torana.obs.metrics import Metrics, open_metrics
from torana.outbound.client import HttpClient, Timeouts
from torana.routing.health import HealthPolicy
from torana.secret_box import SecretBox
from torana.settings import Settings
from torana.web.application import create_app
from torana.web.endpoint import ToranaApp
from torana.web.hangups import HangupWatcher
from torana.web.services import Services


def build(settings: Settings) -> ToranaApp:
    """Build the services and the application of this process, and start its background work.

    Raises:
        ConfigurationError: a setting is not usable.
    """
    logs.configure(settings, "web")
    metrics = open_metrics(settings.metrics_dir)
    database = Database(settings.resolved_database_url)
    configuration = Configuration(settings, database)
    owner = OwnerHeartbeat(database, owner_id=new_id("own"), kind="web")
    spool = Spool(settings.spool_dir, owner.owner_id)
    redis = _redis(settings, metrics)
    health = Health(
        HealthPolicy(failures=settings.breaker_failures, open_seconds=settings.breaker_seconds),
        metrics=metrics,
    )
    cache = AnswerCache(redis, settings.secret_keys)
    teller = Teller(
        open_lane(database, owner.owner_id),
        metrics,
        spool=spool,
        open_account=partial(open_from_templates, database),
    )
    http = HttpClient()
    checking = Checking(configuration.present, http)
    checks = ActiveChecks(health, plans=checking.plans, check=checking.check, redis=redis)
    loops = (
        Loop("configuration", configuration.refresh, seconds=REFRESH_SECONDS),
        Loop("heartbeat", owner.beat, seconds=BEAT_SECONDS),
        Loop("spool", teller.replay, seconds=SPOOL_SECONDS),
        Loop("teller", teller.tick, seconds=TICK_SECONDS),
        Loop("health", HealthSync(health, redis).run_once, seconds=SYNC_SECONDS),
        Loop("cache", cache.renew, seconds=RENEW_SECONDS),
    )
    hangups = HangupWatcher()
    hangups.start()
    stopping, draining = threading.Event(), threading.Event()
    for loop in loops:
        # A process that starts while the database is away waits for it in the background: if it
        # ended, the master would take its healthy siblings down with it.
        loop.run_once()
        loop.start(stopping)
    # A check waits for a provider, and no process waits for that before it serves.
    Loop("checks", checks.run_once, seconds=CHECK_LOOP_SECONDS).start(stopping)

    def leave() -> None:
        # What waits in the spool keeps its owner, until a sweeper or the next process posts it.
        if not spool.pending:
            owner.leave()
        spool.close()

    responses = StoredResponses(
        Conversations(
            database,
            SecretBox(settings.secret_keys, CONVERSATIONS),
            timedelta(days=settings.responses_days),
        )
    )
    inference = InferenceService(
        upstreams=configuration.present,
        teller=teller,
        http=http,
        metrics=metrics,
        limits=_limits(settings),
        policy=CallPolicy(
            free_fields=frozenset(settings.free_fields),
            retry_uncertain=settings.retry_uncertain,
        ),
        answers=AnswerStore(database, SecretBox(settings.secret_keys, PURPOSE)),
        responses=responses,
        health=health,
        cache=cache,
    )
    return create_app(
        Services(
            settings=settings,
            database=database,
            key_ring=KeyRing(database),
            catalog=lambda: configuration.present().catalog,
            inference=inference,
            free_calls=FreeCalls(
                upstreams=configuration.present,
                http=http,
                timeouts=_timeouts(settings),
                responses=responses,
            ),
            health=health,
            metrics=metrics,
            hangups=hangups,
            draining=draining,
            leave=leave,
        )
    )


def _redis(settings: Settings, metrics: Metrics) -> SharedRedis | None:
    if settings.redis_url is None:
        return None
    return open_redis(settings.redis_url.get_secret_value(), failed=metrics.redis_error)


def _timeouts(settings: Settings) -> Timeouts:
    return Timeouts(
        connect=settings.connect_timeout,
        first_byte=settings.first_byte_timeout,
        idle=settings.idle_timeout,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        timeouts=_timeouts(settings),
        retry=RetryPolicy(attempts=settings.retry_attempts),
        total=settings.total_timeout,
        disconnect=settings.disconnect_policy,
        drain=settings.drain_seconds,
    )
