"""Running what blocks (SQLite, argon2, file I/O) without stopping the other calls of a process.

Under gevent a blocking call in a greenlet stops the whole process; it belongs into the hub's pool
of native threads. Under real threads, and in commands, the caller's own thread may block.
"""

from __future__ import annotations

import select
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def offload(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function` where it may block, and wait for it.

    Under gevent the function runs in a native thread, so it must not use gevent-patched locks that
    a greenlet may hold. What it raises is raised here.
    """
    if not is_gevent():
        return function(*args, **kwargs)
    from gevent import get_hub  # noqa: PLC0415 -- only where gevent runs already

    result: T = get_hub().threadpool.apply(function, args, kwargs)
    return result


def is_gevent() -> bool:
    """Whether this process runs its calls on gevent's greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("socket"))


def native_poll() -> select.poll:
    """The system's own `poll`, for asking without waiting: gevent's makes watchers at each call."""
    if is_gevent():
        from gevent.monkey import get_original  # noqa: PLC0415 -- only where gevent runs already

        poll: select.poll = get_original("select", "poll")()
        return poll
    return select.poll()


def native_lock() -> AbstractContextManager[bool]:
    """A lock between native threads, for what runs in `offload`; gevent's own is for greenlets."""
    if is_gevent():
        from gevent.monkey import get_original  # noqa: PLC0415 -- only where gevent runs already

        lock: AbstractContextManager[bool] = get_original("threading", "Lock")()
        return lock
    return threading.Lock()
