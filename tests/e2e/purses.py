"""Keys with limits of their own, and calls that are made with them."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import Any

from tests.e2e.constants import PROMPT
from tests.support.server import Reply, RunningServer
from torana.admin.keys import create_key
from torana.db.session import Database

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Purse:
    """A key and the server that it is for."""

    server: RunningServer
    key: str
    key_id: str

    def chat(self, model: str, *, headers: dict[str, str] | None = None, **more: Any) -> Reply:
        """One call with this key."""
        body = {
            "model": model,
            "messages": [{"role": "user", "content": PROMPT}],
            "max_tokens": 40,
            **more,
        }
        return self.server.request(
            "POST", "/v1/chat/completions", body, key=self.key, headers=headers
        )

    def spent(self) -> int:
        """What the ledger says of this key, in nano-dollars."""
        rows = self.server.ledger(key=self.key)
        return sum(row["cost_nano"] for row in rows if row["key_id"] == self.key_id)


def purse(server: RunningServer, *options: str, project: str = "default") -> Purse:
    """A new key; `options` are those of `torana keys create`."""
    name = f"purse-{next(_numbers)}"
    if not options:  # A command takes a second, and many tests need just a key.
        database = Database(server.database_url)
        try:
            plain = create_key(database, project=project, name=name)
        finally:
            database.dispose()
        return Purse(server, plain.key, plain.id)
    made = json.loads(
        server.torana(*("keys", "create", "--project", project, "--name", name, "--json"), *options)
    )
    return Purse(server, made["key"], made["id"])


def new_project(server: RunningServer) -> str:
    """A project of its own, by name."""
    name = f"project-{next(_numbers)}"
    server.torana("projects", "create", name)
    return name
