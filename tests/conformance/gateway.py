"""A real Torana for this suite: three providers, one for each dialect, all of them the one fake."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.processes import Program, free_port, running
from tests.support.server import (
    DATABASE_FILE,
    READY_SECONDS,
    TORANA,
    RunningServer,
    eventually,
    make_seed,
)
from torana.admin.allowed_hosts import allow_host
from torana.admin.price_terms import make_terms
from torana.admin.providers import FIRST_LABEL, PURPOSE, new_key
from torana.core.clock import utc_now
from torana.core.ids import new_id
from torana.db.models import Provider
from torana.db.session import Database
from torana.ledger.prices import set_price
from torana.secret_box import SecretBox
from torana.settings import load_settings

REPOSITORY = Path(__file__).parents[2]
KINDS = {"chat": "compatible", "responses": "responses", "messages": "anthropic"}
"""The kind of each provider by its name, which is that of its dialect."""
PROVIDER_KEY = "sk-conformance-provider-key"


@contextmanager
def started(folder: Path, upstream_url: str) -> Iterator[RunningServer]:
    """A server for the length of a `with` block.

    Args:
        folder: an empty folder for its files.
        upstream_url: the base URL of all its providers, with the version.
    """
    (folder / "seed").mkdir()
    seed = make_seed(folder / "seed")
    environment = _environment(folder)
    file = folder / "data" / DATABASE_FILE
    shutil.copyfile(seed.database, file)
    _provision(f"sqlite:///{file}", environment, upstream_url)
    log = folder / "server.log"
    program = Program(
        arguments=[sys.executable, "-m", "tests.conformance.web_process"],
        environment=environment,
        folder=folder,
        log=log,
    )
    with running(program) as process:
        server = RunningServer(
            url=f"http://127.0.0.1:{environment['TORANA_PORT']}",
            key=seed.key,
            key_id=seed.key_id,
            folder=folder,
            database_url=f"sqlite:///{file}",
            environment=environment,
            process=process,
            _files=(log, log),
        )

        def ready() -> bool:
            assert process.poll() is None, log.read_text()[-2000:]
            try:
                return server.request("GET", "/readyz", key="").status == 200
            except OSError:
                return False

        eventually(ready, "/readyz", seconds=READY_SECONDS)
        yield server


def _environment(folder: Path) -> dict[str, str]:
    (folder / "data").mkdir()
    return {
        "PATH": f"{TORANA.parent}{os.pathsep}{os.defpath}",
        "PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "TORANA_DATA_DIR": str(folder / "data"),
        "TORANA_PORT": str(free_port()),
        "TORANA_SECRET_KEYS": secrets.token_hex(32),
        "TORANA_WORKERS": "1",
        # What fails here is meant to: the caller shall see it at once.
        "TORANA_RETRY_ATTEMPTS": "1",
    }


def _provision(database_url: str, environment: Mapping[str, str], upstream_url: str) -> None:
    settings = load_settings(
        data_dir=environment["TORANA_DATA_DIR"], secret_keys=environment["TORANA_SECRET_KEYS"]
    )
    box = SecretBox(settings.secret_keys, PURPOSE)
    database = Database(database_url)
    terms = make_terms({"input": "0.15", "output": "0.6"})
    try:
        allow_host(database, "127.0.0.1")
        with database.write() as session:
            for name, kind in KINDS.items():
                row = Provider(
                    id=new_id("prov"),
                    name=name,
                    kind=kind,
                    base_url=upstream_url,
                    options={},
                    enabled=True,
                    created_at=utc_now(),
                    updated_at=utc_now(),
                )
                session.add(row)
                session.flush()
                session.add(new_key(box, row.id, FIRST_LABEL, PROVIDER_KEY))
                now = utc_now()
                set_price(
                    session, provider=name, model="*", terms=terms, source="operator", now=now
                )
    finally:
        database.dispose()
