"""`torana serve` for these tests: the same server, with a trace of its decisions and gauges.

    python -m tests.chaos.faults.traced_process --folder F

Each worker writes two things into the folder. `trace.PID` has a line for every attempt that was let
pass, every probe that ended and every change of a target, in the order in which they happened, with
the time on the clock that all processes of the machine share; and one whenever the process got no
turn for a while, because a busy machine makes everything late. `gauge.PID.N` is written when a file
`ask.N` appears: what the process holds at that moment. The product knows nothing of either.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

from torana import app

_LOOK_SECONDS = 0.1
_LAG_SECONDS = 0.05
"""What is no news on any machine."""
_EVENTS = {"target.opened", "target.closed", "target.cooling"}


class TracedServer(app.WebServer):
    """The web server of the product, whose workers are prepared first."""

    def load(self) -> Any:
        """The application of a worker."""
        folder = _options().folder
        trace = Trace(folder / f"trace.{os.getpid()}")
        trace.install()
        application = super().load()
        threading.Thread(target=_look, args=(folder, trace), name="looks", daemon=True).start()
        return application


class Trace(logging.Handler):
    """Writes what happens, each line as it happens: a crash loses none."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self._pid = os.getpid()

    def install(self) -> None:
        """Listen to attempts and to the changes of targets."""
        from torana.inference import health, open_call

        logger = logging.getLogger("torana.health")
        logger.setLevel(logging.INFO)
        logger.addHandler(self)
        begin_attempt, ended = open_call.OpenCall.begin_attempt, health.Attempt.ended
        trace = self

        def begin(call: Any, passage: Any = None) -> Any:
            attempt = begin_attempt(call, passage)
            trace.write(
                "pass",
                t=passage._began,
                request_id=call.request_id,
                n=attempt["n"],
                provider=attempt["provider"],
                model=attempt["model"],
                probe=passage.probe,
            )
            return attempt

        def end(attempt: Any, error: Any) -> None:
            if attempt.probe and attempt._open:
                provider, model = attempt._record.key
                code = None if error is None else error.code
                trace.write(
                    "probed", provider=provider, model=model, began=attempt._began, code=code
                )
            ended(attempt, error)

        classes: tuple[Any, Any] = (open_call.OpenCall, health.Attempt)
        classes[0].begin_attempt, classes[1].ended = begin, end

    def emit(self, record: logging.LogRecord) -> None:
        """A target has changed."""
        if record.getMessage() in _EVENTS:
            fields = vars(record)
            self.write(
                record.getMessage(),
                provider=fields["provider"],
                model=fields["target_model"],
                seconds=fields["seconds"],
                shared=fields["shared"],
                reason=fields["reason"],
            )

    def write(self, kind: str, **fields: Any) -> None:
        """One line; `t` is now unless it is given."""
        line = {"kind": kind, "pid": self._pid, "t": time.monotonic()} | fields
        os.write(self._file, json.dumps(line).encode() + b"\n")


def _look(folder: Path, trace: Trace) -> None:
    """Write a gauge for each question, complete once it has its name; and how late this runs."""
    answered: set[str] = set()
    while True:
        due = time.monotonic() + _LOOK_SECONDS
        time.sleep(_LOOK_SECONDS)
        late = time.monotonic() - due
        if late > _LAG_SECONDS:
            trace.write("lag", seconds=late)
        for ask in sorted(folder.glob("ask.*")):
            number = ask.name.partition(".")[2]
            if number in answered:
                continue
            answered.add(number)
            made = folder / f"gauge.{os.getpid()}.{number}.part"
            made.write_text(json.dumps(_gauge()))
            made.rename(made.with_suffix(""))


def _gauge() -> dict[str, Any]:
    """What this process holds."""
    import gc
    import sys
    from collections import Counter

    import greenlet
    import psutil

    gc.collect()
    process = psutil.Process()
    objects = gc.get_objects()
    kinds = Counter(type(found).__qualname__ for found in objects)
    peers = [
        connection.raddr.port
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_ESTABLISHED and connection.raddr
    ]
    return {
        "rss": process.memory_info().rss,
        "blocks": sys.getallocatedblocks(),
        "files": process.num_fds(),
        "threads": process.num_threads(),
        "greenlets": sum(
            1 for found in objects if isinstance(found, greenlet.greenlet) and not found.dead
        ),
        "peers": peers,
        "kinds": dict(kinds),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    app.WebServer = TracedServer  # type: ignore[misc]
    app.main()
