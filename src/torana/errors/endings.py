"""A call ends before its answer does, and nobody is at fault."""

from __future__ import annotations

from torana.errors.base import ToranaError


class Draining(ToranaError):
    """This process is stopping; the answer could not be finished in time."""

    status = 503
    code = "server_shutdown"
    should_retry = True


class CallerGone(ToranaError):
    """The caller hung up. Nobody reads this error; the ledger and the log do."""

    status = 499
    code = "caller_gone"
