"""Two ways to run the command line: as the installed program, and in this process, which is quick."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.support import databases
from torana.cli.main import main

PROGRAM = Path(sys.executable).with_name("torana")
SECRET_KEY = "k" * 32
TIMEOUT = 60


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        assert (self.status, self.err) == (0, ""), self
        return json.loads(self.out)

    def text(self) -> str:
        assert (self.status, self.err) == (0, ""), self
        return self.out

    def refusal(self) -> str:
        """The one line that says why it was refused."""
        assert (self.status, self.out) == (1, ""), self
        (line,) = self.err.splitlines()
        assert line.startswith("torana: ")
        return line


@dataclass
class Runner:
    """Runs commands in a folder, with settings and nothing else of this machine."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, text: str = "", **settings: str) -> Result:
        raise NotImplementedError

    def environment(self, settings: dict[str, str]) -> dict[str, str]:
        return {"PATH": os.defpath, "LANG": "C.UTF-8"} | self.settings | settings


class Installed(Runner):
    """The program that `pip install` made, in a process of its own."""

    def run(self, *arguments: str, text: str = "", **settings: str) -> Result:
        done = subprocess.run(
            [PROGRAM, *arguments],
            cwd=self.folder,
            env=self.environment(settings),
            input=text,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)


class InProcess(Runner):
    """The same entry point, called here."""

    def run(self, *arguments: str, text: str = "", **settings: str) -> Result:
        out, err = io.StringIO(), io.StringIO()
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            with (
                patch.dict("os.environ", self.environment(settings), clear=True),
                patch.object(sys, "argv", ["torana", *arguments]),
                patch.object(sys, "stdin", io.StringIO(text)),
                redirect_stdout(out),
                redirect_stderr(err),
            ):
                status = self._call()
        finally:
            os.chdir(before)
        return Result(status, out.getvalue(), err.getvalue())

    @staticmethod
    def _call() -> int:
        try:
            main()
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        return 0


def command_line(request: pytest.FixtureRequest, folder: Path) -> Iterator[InProcess]:
    """A command line with an empty database of the kind that a fixture's parameter names."""
    settings = {"TORANA_SECRET_KEYS": SECRET_KEY}
    if request.param == "sqlite":
        yield InProcess(folder, settings)
        return
    with databases.postgres_url(request.getfixturevalue("postgres_server")) as url:
        yield InProcess(folder, settings | {"TORANA_DATABASE_URL": url})
