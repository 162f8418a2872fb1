"""Environments beside the tests' own: programs that call Torana, and SDKs of older lines.

`make test` makes them in the tests' virtual environment, from lock files of their own:
`programs` holds the `llm` command line with its plugins, Node, and the Vercel AI SDK;
`older-sdks` holds the line before of the openai and anthropic SDKs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

PROGRAMS = Path(sys.prefix) / "programs"
OLDER_SDKS = Path(sys.prefix) / "older-sdks"
LLM = PROGRAMS / "bin" / "llm"
NODE = PROGRAMS / "bin" / "node"
NODE_MODULES = PROGRAMS / "node" / "node_modules"
RUN_SECONDS = 60.0

Kind = Literal["openai-chat", "openai-responses", "anthropic-messages"]
Scenario = Literal["create", "stream", "helper", "tools"]

_PARTS = {
    "programs": (LLM, NODE, NODE_MODULES / ".package-lock.json"),
    "older-sdks": (OLDER_SDKS / "bin" / "python",),
}
_OLDER_SDK = Path(__file__).parents[1] / "programs" / "older_sdk.py"


def require(name: Literal["programs", "older-sdks"]) -> None:
    """Skip the test when an environment could not be made on this machine."""
    missing = [part.name for part in _PARTS[name] if not part.exists()]
    if missing:
        pytest.skip(f"`make test` could not install {name}: {', '.join(missing)} missing")


def clean_environment(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a program is run with: nothing of whoever runs the tests, no proxy, no key."""
    return {
        "PATH": f"{PROGRAMS / 'bin'}{os.pathsep}{os.defpath}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
        **(more or {}),
    }


def run(
    arguments: Iterable[str | Path],
    environment: Mapping[str, str],
    folder: Path,
    *,
    stdin: str = "",
    fails: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end.

    Args:
        arguments: the program and what follows it.
        environment: all that it gets.
        folder: where it runs.
        stdin: what it reads.
        fails: whether it must exit with an error, rather than without one.
    """
    result = subprocess.run(
        [str(argument) for argument in arguments],
        env=dict(environment),
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert (result.returncode != 0) is fails, (result.stdout[-3000:], result.stderr[-3000:])
    return result


def run_older_sdk(
    kind: Kind,
    scenario: Scenario,
    base_url: str,
    key: str,
    *,
    model: str = "echo",
    request: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Make one call with an SDK of an older line; see `run_older_sdks`.

    Args:
        kind: `openai-chat`, `openai-responses` or `anthropic-messages`.
        scenario: `create` asks for JSON; `stream` reads `create(stream=True)` and folds it by
            hand; `helper` uses the SDK's `stream(...)` helper and its own fold; `tools` answers
            tool calls until there are none, with the SDK's tool runner where it has one.
        base_url: Torana's own URL, without `/v1`.
        key: an API key.
        model: whom to ask.
        request: more fields of the call, over the smallest that the SDK takes. `tools` offers
            and answers the tool `weather(city: str)`, whose answer is `CITY: 21 degrees`.
    """
    job = {
        "kind": kind,
        "scenario": scenario,
        "base_url": base_url,
        "key": key,
        "model": model,
        "request": dict(request or {}),
    }
    return run_older_sdks([job])[0]


def run_older_sdks(jobs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Make calls one after another in a single process, which saves a second for each.

    Args:
        jobs: each with `kind`, `scenario`, `base_url`, `key` and `model`, and perhaps `request`,
            all as in `run_older_sdk`.

    Returns:
        An outcome for each job:

        - `sdk`: name and version, `openai 1.109.1`;
        - `text`, `thinking`: of the last answer;
        - `tool_calls`: of the first answer that had any, each `id`, `name` and `arguments`
          (parsed); for `tools` all of them, over all turns;
        - `finish`: the last `finish_reason`, `stop_reason` or response `status`;
        - `usage`: of the last answer as the SDK has it (dumped), None when there was none;
        - `message`: the last answer, dumped whole: a chat completion, a response, a message;
          None for `stream` where no event holds it (chat and messages);
        - `events`: the types of the stream's events in their order; for the `stream` of chat the
          fields of each delta, as `content+role`, or `end`; empty without a stream;
        - `turns`: how many calls were made;
        - `error`: None, or `type` (the exception's name), `status`, `message` and `body`; what
          had come until then is in the other fields.
    """
    require("older-sdks")
    result = run(
        [OLDER_SDKS / "bin" / "python", _OLDER_SDK],
        clean_environment(OLDER_SDKS),
        OLDER_SDKS,
        stdin=json.dumps([dict(job) for job in jobs]),
    )
    outcomes: list[dict[str, Any]] = json.loads(result.stdout)
    return outcomes
