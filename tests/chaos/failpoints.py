"""Failpoints inside a web process of the tests: a model's name says what breaks, and where.

A call for the model `fp-POINT-ACTION-N` reaches POINT once in each process and ACTION happens
there. All of it is wrapped around the product from outside. When a point is reached, the file
`MODEL.reached` with the process's id appears in the folder of the failpoints.
"""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import psycopg

from torana.db.bounded import BoundedConnection
from torana.inference.open_call import OpenCall
from torana.ledger.jobs import Settled
from torana.ledger.postgres_lane import PostgresLane
from torana.ledger.writes import Writes
from torana.outbound.client import Answer
from torana.providers import Provider, Sending

POINTS = (
    "before_admit",
    "after_admit",
    "answer_begins",
    "answer_read",
    "before_post",
    "after_post",
)
"""Before and after the commit that admits; status line read; answer read; around the post."""
ACTIONS = ("kill", "stop", "lost", "database")
"""SIGKILL; SIGSTOP; the caller hangs up; the database ends the connection or its answer is lost."""
_MODEL = re.compile(rb'"model":\s*"(fp-[^"]+)"')
_HANGUP_SECONDS = 5.0


def model_of(point: str, action: str, number: int) -> str:
    """The name of the model that has a failpoint."""
    return f"fp-{point}-{action}-{number}"


class Failpoints:
    """What breaks in this process.

    Args:
        folder: where files tell the test what was reached, and the process what was done.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fired: set[str] = set()
        self._lane: PostgresLane | None = None

    def reach(self, point: str, model: str) -> None:
        """A call for a model has come to a point."""
        action = self._due(point, model)
        if action is None:
            return
        (self._folder / f"{model}.reached").write_text(str(os.getpid()))
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif action == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif action == "lost":
            gone = self._folder / f"{model}.gone"
            deadline = time.monotonic() + _HANGUP_SECONDS
            while not gone.exists() and time.monotonic() < deadline:
                time.sleep(0.005)
        else:
            self._end_connection()

    def commit_loses_its_answer(self, model: str, lane: PostgresLane) -> bool:
        """Whether this commit is the one that happens and is not heard of."""
        self._lane = lane
        for point in ("after_admit", "after_post"):
            if model.startswith(f"fp-{point}-database-") and self._due(point, model):
                (self._folder / f"{model}.reached").write_text(str(os.getpid()))
                return True
        return False

    def _due(self, point: str, model: str) -> str | None:
        if not model.startswith(f"fp-{point}-") or model in self._fired:
            return None
        self._fired.add(model)
        return model.split("-")[2]

    def _end_connection(self) -> None:
        lane = self._lane
        connection = lane._connection if lane is not None else None
        if lane is None or connection is None:
            return
        pid = connection.info.backend_pid
        with psycopg.connect(lane._conninfo, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 2000)", (pid,))


def install(folder: Path) -> None:
    """Wrap the product's steps; call it before the services are built."""
    points = Failpoints(folder)
    _wrap_commits(points)
    _wrap_answers(points)


def _wrap_commits(points: Failpoints) -> None:
    commit = PostgresLane._commit

    def wrapped(self: PostgresLane, settled: Settled, writes: Writes) -> None:
        models = [
            *[("admit", row["target_model"]) for row in writes.reservations],
            *[("post", row["target_model"]) for row in writes.entries],
        ]
        for step, model in models:
            # Ask for the lossy commit of this step only.
            if model.startswith(f"fp-after_{step}-") and points.commit_loses_its_answer(
                model, self
            ):
                _lose_next_commit(self._open_connection())
        for step, model in models:
            points._lane = self
            points.reach(f"before_{step}", model)
        commit(self, settled, writes)
        for step, model in models:
            points.reach(f"after_{step}", model)

    PostgresLane._commit = wrapped  # type: ignore[method-assign]


def _lose_next_commit(connection: BoundedConnection) -> None:
    def commit() -> None:
        BoundedConnection.commit(connection)
        raise psycopg.OperationalError("the answer to COMMIT was lost")

    connection.commit = commit  # type: ignore[method-assign]


def _wrap_answers(points: Failpoints) -> None:
    send = Provider.send
    succeed = OpenCall.succeed

    def send_and_reach(self: Provider, http: Any, sending: Sending) -> Answer:
        answer = send(self, http, sending)
        found = _MODEL.search(sending.body if isinstance(sending.body, bytes) else b"")
        if found is not None:
            points.reach("answer_begins", found[1].decode())
        return answer

    def answer_read(self: OpenCall, usage: Any, **more: Any) -> int:
        points.reach("answer_read", self.target.model)
        return succeed(self, usage, **more)

    Provider.send = send_and_reach  # type: ignore[method-assign]
    OpenCall.succeed = answer_read  # type: ignore[method-assign]
